/** The API and the chapters, by typedoc. A warning of its is an error here. */
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import {
  Application,
  type Comment,
  ConsoleLogger,
  type Context,
  Converter,
  type DeclarationReflection,
  type DocumentReflection,
  type IndexEvent,
  LogLevel,
  OptionDefaults,
  ReflectionKind,
  Renderer,
} from 'typedoc';
import { formatPlace, type Place } from '../../explorer/location.ts';
import { PingoraLinks } from './pingora-links.ts';
import { SITE, SOURCE_PAGES } from './sources.ts';

/** The chapters in order, the answers, the glossary, the list of questions, and the tables. */
function documents(root: string): string[] {
  const chapters = readdirSync(join(root, 'walkthrough'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, 'walkthrough', entry.name, 'README.md')))
    .map((entry) => `walkthrough/${entry.name}/README.md`)
    .sort();
  const tables = existsSync(join(root, 'docs')) ? readdirSync(join(root, 'docs')).sort() : [];
  return [
    'walkthrough/README.md',
    ...chapters,
    ...['walkthrough/ANSWERS.md', 'walkthrough/GLOSSARY.md', 'walkthrough/QUESTIONS.md'].filter((path) =>
      existsSync(join(root, path)),
    ),
    ...tables.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
    ...['BENCHMARKS.md'].filter((path) => existsSync(join(root, path))),
  ];
}

/** What the package's subpaths export. */
const ENTRIES = ['load-balancing', 'metrics', 'tracing', 'http2'].map((name) => `src/entries/${name}.ts`);

/**
 * Make the pages. Throws when typedoc has anything to complain about. `more`: documents beside those of the project, as
 * the scenarios' pages.
 */
export async function buildApi(root: string, out: string, more: readonly string[] = []): Promise<void> {
  const files = documents(root);
  const app = await Application.bootstrap({
    name: 'pingora-traced',
    entryPoints: ['src/index.ts', ...ENTRIES].map((path) => join(root, path)),
    tsconfig: join(root, 'tsconfig.json'),
    readme: join(root, 'README.md'),
    projectDocuments: [...files.map((path) => join(root, path)), ...more],
    out,
    cleanOutputDir: true,
    customCss: join(root, 'scripts/docs/site.css'),
    customJs: join(root, 'scripts/docs/site.js'),
    favicon: join(root, 'docs/images/favicon.svg'),
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableGit: true,
    basePath: root,
    displayBasePath: root,
    sourceLinkTemplate: `${SOURCE_PAGES}{path}.html#L{line}`,
    navigationLinks: { 'Trace explorer': `${SITE}explorer/explorer.html` },
    navigation: { includeGroups: true, compactFolders: true },
    groupOrder: ['Book', 'Answers', 'Scenarios', 'Reference', 'Modules', '*'],
    searchInComments: true,
    searchInDocuments: true,
    sort: ['source-order'],
    // the chapters are in their own order
    sortEntryPoints: false,
    headings: { readme: false, document: false },
    includeVersion: true,
    githubPages: false,
    highlightLanguages: [...OptionDefaults.highlightLanguages, 'rust'],
    hideGenerator: true,
    skipErrorChecking: true,
    logLevel: LogLevel.Warn,
    treatWarningsAsErrors: true,
    // what tells the members of a union apart is their own name
    intentionallyNotDocumented: [
      'pingora-traced.HttpTask.__type.type',
      'pingora-traced.HttpTask.__type.Done.__type.type',
      'pingora-traced.ServerAddress.__type.type',
      // a type that is written where it is returned says with its names what they are
      'pingora-traced.PrometheusServer.__type.new',
      'pingora-traced.splitAddress.__type.host',
      'pingora-traced.splitAddress.__type.port',
      'pingora-traced.Resolver.__type.__type.address',
      'pingora-traced.Fds.serialize.__type.addresses',
      'pingora-traced.Fds.serialize.__type.fds',
      'pingora-traced.CertKey.toPem.__type.cert',
      'pingora-traced.CertKey.toPem.__type.key',
      'pingora-traced/tracing.TraceDocument.cut.__type.spans',
      'pingora-traced/tracing.TraceDocument.cut.__type.events',
      'pingora-traced/tracing.TraceDocument.cut.__type.bytes',
      'pingora-traced/tracing.TraceSpan.rust.__type.file',
      'pingora-traced/tracing.TraceSpan.rust.__type.line',
      'pingora-traced/tracing.TraceSpan.ts.__type.file',
      'pingora-traced/tracing.TraceSpan.ts.__type.line',
    ],
    // links to folders and to rows of tables are right and not known to typedoc: all links are tested in the site
    validation: {
      invalidLink: true,
      invalidPath: false,
      notExported: false,
      notDocumented: true,
      rewrittenLink: true,
    },
  });

  app.logger = new Complaints();

  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context: unknown, document: DocumentReflection) => {
    const at = document.project.files.getReflectionPath(document);
    const path = files.find((file) => at?.endsWith(file));
    if (path !== undefined) {
      document.name = titleOf(readFileSync(join(root, path), 'utf8'), path);
      document.frontmatter.group = groupOf(path);
    }
    document.content = document.content.map((part) => ({ ...part, text: readable(part.text) }));
  });
  const links = new PingoraLinks(root);
  const link = (context: Context) => {
    for (const reflection of context.project.getReflectionsByKind(ReflectionKind.All)) {
      if (reflection.isDeclaration()) addCounterpart(reflection, root, links);
    }
  };
  // last of all: what inherits its text inherits no link with it
  app.converter.on(Converter.EVENT_RESOLVE_END, link, -10_000);

  app.renderer.on(Renderer.EVENT_PREPARE_INDEX, rankPages);

  const project = await app.convert();
  if (project === undefined) throw new Error('typedoc could not read the sources');
  app.validate(project);
  await app.generateOutputs(project);
  appendFileSync(join(out, 'assets/custom.css'), pictureRules(join(out, 'media')));
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('typedoc has something to complain about');
}

/** A word in a heading of a page counts for so many in its text: more than one in the name of a function does. */
const HEADING = 400;

/** Words that say nothing of what a heading is about. */
const COMMON =
  /^(?:a|an|and|are|at|by|do|does|for|from|happens?|how|if|in|is|it|its|no|of|on|or|the|then|to|what|when|where|which|who|why|with|would|…)\W*$/i;

/** Who looks for a word wants to read of it before they want a function that has it in its name. */
function rankPages(event: IndexEvent): void {
  event.searchFieldWeights.heading = HEADING;
  event.searchResults.forEach((reflection, i) => {
    if (!reflection.isDocument()) return;
    const group = String(reflection.frontmatter.group);
    // a scenario has the name of what one looks for, too, and explains least of it
    if (group === 'Scenarios') return;
    const text = reflection.content.map((part) => part.text).join('');
    const headings = [...text.replace(/```[\s\S]*?```/g, '').matchAll(/^#{1,4} (.+)$/gm)].map(
      ([, heading]) => heading!,
    );
    // a code's name is a word of its own, and so is each part of it
    const words = headings.flatMap((heading) => heading.replace(/[`*]/g, '').split(/[\s_]+/));
    event.searchFields[i]!.heading = [...headings.flatMap((heading) => heading.split(/\s+/)), ...words]
      .filter((word) => !COMMON.test(word))
      .join(' ');
    reflection.relevanceBoost = /^(?:Book|Answers)$/.test(group) ? 3 : 1;
  });
}

/** A picture is shrunk to this much of its own size at the most: its letters are 11 pixels high then. */
const SHRUNK = 0.7;

function pictureRules(media: string): string {
  const rules = readdirSync(media)
    .filter((name) => name.endsWith('.svg'))
    .map((name) => {
      const width = /<svg[^>]*\bwidth="([\d.]+)"/.exec(readFileSync(join(media, name), 'utf8'))?.[1];
      if (width === undefined) throw new Error(`${name} doesn't say how wide it is`);
      return `.tsd-typography img[src$="/${name}"] { min-width: ${Math.round(Number(width) * SHRUNK)}px; }`;
    });
  return `\n${rules.join('\n')}\n`;
}

/** typedoc knows the anchors of headings only, and the tables have some a row: links are tested in the site itself. */
class Complaints extends ConsoleLogger {
  constructor() {
    super();
    this.level = LogLevel.Warn;
  }

  override log(message: string, level: Exclude<LogLevel, LogLevel.None>): void {
    if (!message.includes('but the anchor does not exist')) super.log(message, level);
  }
}

/** Under which heading a page is listed. */
function groupOf(path: string): string {
  if (/ANSWERS|GLOSSARY/.test(path)) return 'Answers';
  return /^(?:docs\/|BENCHMARKS)/.test(path) ? 'Reference' : 'Book';
}

/** `<!-- calls: h1 from="Service::handle_event" nth=2 -->` */
const CALLS = /<!-- calls: ([\w-]+)([^\n]*?) -->\n/g;

/**
 * The text without the book's own comments: Markdown takes a paragraph that begins with one for HTML, and shows its
 * links as they stand. What lists the calls of a trace gets a link to the place in the explorer.
 */
export function readable(text: string): string {
  const opened = text.replace(CALLS, (_, scenario: string, more: string) => {
    const [, from] = /from="([^"]+)"/.exec(more) ?? [];
    const [, nth] = /nth=(\d+)/.exec(more) ?? [];
    const place: Place = { trace: scenario, ...(from !== undefined && { fn: from, n: Number(nth ?? 1) }) };
    return `[▸ these calls in the trace explorer](${SITE}explorer/explorer.html${formatPlace(place)})\n\n`;
  });
  return opened.replace(/<!--[\s\S]*?-->/g, '');
}

function titleOf(text: string, path: string): string {
  return /^# (.+)$/m.exec(text)?.[1]?.replaceAll('`', '') ?? path;
}

const TYPES = ReflectionKind.Class | ReflectionKind.Interface | ReflectionKind.TypeAlias | ReflectionKind.Enum;

/** Link what ports something of Pingora's to it. What has no text stays without one, so that it is complained about. */
function addCounterpart(reflection: DeclarationReflection, root: string, links: PingoraLinks): void {
  const source = reflection.sources?.[0];
  if (source === undefined) return;
  const file = relative(root, source.fullFileName ?? source.fileName)
    .split(sep)
    .join('/');
  if (!file.startsWith('src/')) return;
  const { name, parent } = reflection;
  const of = parent?.kindOf(ReflectionKind.ClassOrInterface) === true ? parent.name : undefined;
  for (const signature of [
    ...(reflection.signatures ?? []),
    ...(reflection.getSignature ? [reflection.getSignature] : []),
  ]) {
    const line = signature.sources?.[0]?.line ?? source.line;
    append(signature.comment, links.function({ file, line, name, of }));
  }
  if (reflection.kindOf(ReflectionKind.Variable)) {
    const place = { file, line: source.line, name };
    append(reflection.comment, links.function(place) ?? links.type(place));
  }
  if (reflection.kindOf(TYPES)) append(reflection.comment, links.type({ file, line: source.line, name }));
}

function append(comment: Comment | undefined, link: string | undefined): void {
  if (link !== undefined) comment?.summary.push({ kind: 'text', text: `\n\nPingora: ${link}` });
}
