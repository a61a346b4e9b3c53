/** What typedoc's pages lack: where one is, how to go on, headings with their code, pictures that can be opened. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { anchorOf } from '../slug.ts';

const text = (html: string) =>
  html
    .replace(/<a [^>]*class="tsd-anchor-icon"[\s\S]*?<\/a>/g, '')
    .replace(/<wbr\s*\/?>/g, '')
    .replace(/<(?!\/?code\b)[^>]*>/g, '')
    .trim();

const HOME = 'pingora-traced';
const DEVIATIONS = 'Deviations.html';
const BOOK = 'From_run_forever_to_process_new_http,_and_on_to_the_origin.html';

interface Neighbours {
  before?: string | undefined;
  after?: string | undefined;
}

const titleOf = (html: string) => /<h1\b[^>]*>([\s\S]*?)<\/h1>/.exec(html)?.[1] ?? '';

/** The headings of a page by their ids, with the code in them. */
function headings(html: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, id, inside] of html.matchAll(/<h[1-6] id="([^"]+)"[^>]*>([\s\S]*?)<\/h[1-6]>/g))
    found.set(id!, text(inside!));
  return found;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
};

/** A heading without its marks. */
const plain = (heading: string) =>
  heading.replace(/<\/?code>/g, '').replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity]!);

/** GitHub's anchors: typedoc leaves a heading's code out of its own, and then links that work there lead nowhere here. */
export function mendAnchors(html: string): string {
  const anchors = new Map<string, string>();
  const taken = new Set<string>();
  for (const [id, heading] of headings(html)) {
    anchors.set(id, anchorOf(plain(heading), taken));
  }
  return html
    .replace(/(<h[1-6] id=")([^"]+)"/g, (_, start: string, id: string) => `${start}${anchors.get(id) ?? id}"`)
    .replace(/(<a href="#)([^"]+)"/g, (_, start: string, id: string) => `${start}${anchors.get(id) ?? id}"`);
}

/** `html` of a document, mended. `group`: where it belongs. */
export function mendDocument(
  html: string,
  name: string,
  { before, after }: Neighbours,
  titles: ReadonlyMap<string, string>,
): string {
  const known = headings(html);
  const isChapter = /^\d\d_/.test(name);
  const link = (to: string, label: string) => `<a href="${to}">${label}</a>`;
  const trail = [link('../index.html', HOME), ...(isChapter ? [link(BOOK, 'Book')] : [])];
  const crumbs = trail.map((step) => `<li>${step}</li>`).join('\n');
  const on = [
    before && `<a rel="prev" href="${before}">← ${titles.get(before) ?? ''}</a>`,
    after && `<a rel="next" href="${after}">${titles.get(after) ?? ''} →</a>`,
  ].filter(Boolean);
  return html
    .replace(
      'class="tsd-panel tsd-typography"',
      name === DEVIATIONS ? 'class="tsd-panel tsd-typography site-deviations"' : '$&',
    )
    .replace(/(<ul class="tsd-breadcrumb"[^>]*>)\s*/, `$1\n${crumbs}\n`)
    .replace(/<a href="#([^"]+)"><span>[\s\S]*?<\/span><\/a>/g, (whole, id: string) => {
      const heading = known.get(id);
      return heading === undefined ? whole : `<a href="#${id}"><span>${heading}</span></a>`;
    })
    .replace(
      /<img ([^>]*)src="([^"]+\.svg)"([^>]*)>/g,
      (whole, _before, src: string) => `<a class="site-picture" href="${src}" title="Open the picture">${whole}</a>`,
    )
    .replace(
      /<\/div><\/div>(\s*<div class="col-sidebar">)/,
      (_, rest: string) =>
        `</div>${on.length === 0 ? '' : `<nav class="site-on" aria-label="On">${on.join('\n')}</nav>`}</div>${rest}`,
    );
}

/** A heading that opens and closes what is below it has no link inside: the two could not be told apart. */
export function mendSummaries(html: string): string {
  return html.replace(/<summary\b[\s\S]*?<\/summary>/g, (summary) =>
    summary.replace(/<a\b[^>]*class="tsd-anchor-icon"[\s\S]*?<\/a>/g, ''),
  );
}

/** The first page: one button that starts the first tour, and a picture that leads there. */
export function mendFront(html: string): string {
  const tour = 'explorer/explorer.html#trace=h1&amp;tour=1';
  const button = `<p><a class="site-start" href="${tour}"><b>Watch one request, step by step</b><span>Code, values and bytes beside each other; ten minutes.</span></a></p>`;
  return html
    .replace(/(<h1\b[^>]*>[\s\S]*?<\/h1>)/, `$1\n${button}`)
    .replace(/<img ([^>]*explorer[^>]*\.png"[^>]*)>/, `<a href="${tour}">$&</a>`);
}

/** Mend all pages of the site. `order`: the documents, as they are read. */
export function mendPages(out: string): void {
  const folder = join(out, 'documents');
  const names = readdirSync(folder).filter((name) => name.endsWith('.html'));
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  const titles = new Map(names.map((name) => [name, text(titleOf(read(name))).replace(/<\/?code>/g, '')]));
  const chapters = names.filter((name) => /^\d\d_/.test(name)).sort();
  const order = [BOOK, ...chapters, 'Answers.html', 'Glossary.html', DEVIATIONS].filter((name) => names.includes(name));
  for (const name of names) {
    const at = order.indexOf(name);
    const around: Neighbours = at < 0 ? {} : { before: order[at - 1], after: order[at + 1] };
    writeFileSync(join(folder, name), mendDocument(mendAnchors(read(name)), name, around, titles));
  }
  const front = join(out, 'index.html');
  if (existsSync(front)) writeFileSync(front, mendFront(readFileSync(front, 'utf8')));
  for (const kind of readdirSync(out, { withFileTypes: true })) {
    if (!kind.isDirectory() || kind.name === 'documents') continue;
    for (const name of readdirSync(join(out, kind.name)).filter((one) => one.endsWith('.html'))) {
      const path = join(out, kind.name, name);
      writeFileSync(path, mendSummaries(readFileSync(path, 'utf8')));
    }
  }
}

/** The book's chapters by their numbers: what each is called, and where it is from the explorer's page. */
export function bookOf(out: string): Record<string, { title: string; href: string }> {
  const folder = join(out, 'documents');
  const found: Record<string, { title: string; href: string }> = {};
  for (const name of readdirSync(folder).sort()) {
    if (!/^\d\d_.*\.html$/.test(name)) continue;
    const title = plain(text(titleOf(readFileSync(join(folder, name), 'utf8'))));
    const number = name.slice(0, 2);
    found[number] = {
      title: `chapter ${number}: ${title.replace(/^\d\d /, '')}`,
      href: `../documents/${encodeURIComponent(name)}`,
    };
  }
  return found;
}
