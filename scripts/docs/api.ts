/** The API and the chapters, by typedoc. A warning of its is an error here. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import {
  Application,
  Comment,
  ConsoleLogger,
  type Context,
  Converter,
  type DeclarationReflection,
  type DocumentReflection,
  LogLevel,
  ReflectionKind,
} from 'typedoc';
import { pingoraLinks } from './pingora-links.ts';
import { SITE, SOURCE_PAGES } from './sources.ts';

/** The chapters in order, the answers, and the tables. */
function documents(root: string): string[] {
  const chapters = readdirSync(join(root, 'walkthrough'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, 'walkthrough', entry.name, 'README.md')))
    .map((entry) => `walkthrough/${entry.name}/README.md`)
    .sort();
  const tables = existsSync(join(root, 'docs')) ? readdirSync(join(root, 'docs')).sort() : [];
  return [
    'walkthrough/README.md',
    ...chapters,
    ...['walkthrough/ANSWERS.md'].filter((path) => existsSync(join(root, path))),
    ...tables.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
  ];
}

/** Make the pages. Throws when typedoc has anything to complain about. */
export async function buildApi(root: string, out: string): Promise<void> {
  const files = documents(root);
  const app = await Application.bootstrap({
    name: 'pingora-traced',
    entryPoints: [join(root, 'src/index.ts')],
    tsconfig: join(root, 'tsconfig.json'),
    readme: join(root, 'README.md'),
    projectDocuments: files.map((path) => join(root, path)),
    out,
    cleanOutputDir: true,
    favicon: join(root, 'docs/images/favicon.svg'),
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableGit: true,
    basePath: root,
    displayBasePath: root,
    sourceLinkTemplate: `${SOURCE_PAGES}{path}.html#L{line}`,
    navigationLinks: { 'Trace explorer': `${SITE}explorer/explorer.html` },
    navigation: { includeGroups: false },
    sort: ['source-order'],
    // the chapters are in their own order
    sortEntryPoints: false,
    headings: { readme: false, document: false },
    includeVersion: true,
    githubPages: false,
    hideGenerator: true,
    skipErrorChecking: true,
    logLevel: LogLevel.Warn,
    treatWarningsAsErrors: true,
    // links to folders and to rows of tables are right and not known to typedoc: all links are tested in the site itself
    validation: {
      invalidLink: true,
      invalidPath: false,
      notExported: false,
      notDocumented: false,
      rewrittenLink: true,
    },
  });

  app.logger = new Complaints();

  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context: unknown, document: DocumentReflection) => {
    const at = document.project.files.getReflectionPath(document);
    const path = files.find((file) => at?.endsWith(file));
    if (path !== undefined) document.name = titleOf(readFileSync(join(root, path), 'utf8'), path);
  });
  const counterparts = pingoraLinks();
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context: Context) => {
    for (const reflection of context.project.getReflectionsByKind(ReflectionKind.All)) {
      addCounterpart(reflection as DeclarationReflection, root, counterparts);
    }
  });

  const project = await app.convert();
  if (project === undefined) throw new Error('typedoc could not read the sources');
  app.validate(project);
  await app.generateOutputs(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('typedoc has something to complain about');
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

function titleOf(text: string, path: string): string {
  return /^# (.+)$/m.exec(text)?.[1]?.replaceAll('`', '') ?? path;
}

/** Link what ports a function of Pingora's to that function. */
function addCounterpart(
  reflection: DeclarationReflection,
  root: string,
  counterparts: ReadonlyMap<string, string>,
): void {
  const source = reflection.sources?.[0];
  if (source === undefined) return;
  const file = relative(root, source.fullFileName ?? source.fileName)
    .split(sep)
    .join('/');
  for (const signature of reflection.signatures ?? []) {
    const link = counterparts.get(`${file}:${signature.sources?.[0]?.line ?? source.line}`);
    if (link === undefined) continue;
    signature.comment ??= new Comment();
    signature.comment.summary.push({ kind: 'text', text: `\n\nPingora: ${link}` });
  }
}
