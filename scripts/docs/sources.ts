/**
 * The port's sources as pages with line numbers, so that a chapter's link to a line leads somewhere in the site.
 *
 * typedoc copies a file that a document links to into `media/` and downloads it on a click; those links are turned to
 * these pages.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, posix, relative, sep } from 'node:path';

/** What stands for the folder of source pages until the depth of the page that links there is known. */
export const SOURCE_PAGES = 'https://sources.invalid/';
/** What stands for the site's root until then. */
export const SITE = 'https://site.invalid/';

const FOLDERS = ['src', 'examples', 'explorer', 'scripts', 'bench', 'test', 'walkthrough', 'lint'];
/** What pages link to: sources, what stands beside them for a reader, and how a proxy is deployed. */
const SHOWN = /\.(?:ts|js|rs)$|^src\/.*README\.md$|^examples\/deploy\//;

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

const TOKEN =
  /(?<comment>\/\*[\s\S]*?\*\/|\/\/[^\n]*)|(?<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`)|(?<word>\b(?:abstract|async|await|break|case|catch|class|const|continue|default|else|export|extends|finally|for|from|function|get|if|implements|import|in|instanceof|interface|let|new|null|of|override|private|readonly|return|set|static|switch|throw|true|false|try|type|typeof|undefined|void|while|yield|this|super)\b)|(?<decorator>@[\w.]+)/g;

/** The text as HTML, one element a line, lightly coloured if it is JavaScript or TypeScript. */
function highlighted(text: string, file: string): string {
  let html = '';
  let at = 0;
  const span = (kind: string, part: string) =>
    part
      .split('\n')
      .map((line) => (line === '' ? '' : `<span class="${kind}">${escaped(line)}</span>`))
      .join('\n');
  for (const match of /\.[jt]s$/.test(file) ? text.matchAll(TOKEN) : []) {
    html += escaped(text.slice(at, match.index));
    const kind = Object.entries(match.groups ?? {}).find(([, part]) => part !== undefined)?.[0] ?? 'word';
    html += span(kind, match[0]);
    at = match.index + match[0].length;
  }
  html += escaped(text.slice(at));
  return html
    .replace(/\n$/, '')
    .split('\n')
    .map((line, i) => `<span class="line" id="L${i + 1}"><a href="#L${i + 1}">${i + 1}</a>${line}\n</span>`)
    .join('');
}

const STYLE = `
:root { color-scheme: light dark; --dim: light-dark(#8a8f98, #7d828b); --mark: light-dark(#fff4cc, #3a3420); }
body { margin: 0; font: 14px/1.5 system-ui, sans-serif; background: light-dark(#fff, #1b1c1f); color: light-dark(#1f2328, #e3e5e8); }
header { padding: 10px 16px; border-bottom: 1px solid light-dark(#e3e5e8, #34363b); position: sticky; top: 0; background: inherit; }
header a { color: inherit; } pre { margin: 0; padding: 8px 0 60vh; font: 13px/1.5 ui-monospace, monospace; overflow-x: auto; }
.line { display: block; padding-right: 16px; scroll-margin: 30vh; } .line > a { display: inline-block; width: 4.5em; margin-right: 1.5em; text-align: right; color: var(--dim); text-decoration: none; user-select: none; }
.line:target, .line.lit { background: var(--mark); }
.comment { color: light-dark(#5d6b58, #8fa387); } .string { color: light-dark(#0a5c8a, #8ac4e8); } .word { color: light-dark(#9a2f6a, #e093bd); } .decorator { color: light-dark(#7a5200, #d9b36c); }
`;

// `#L10-L20` marks a range, which :target alone can't
const SCRIPT = `
const mark = () => {
  const [, from, to] = /^#L(\\d+)(?:-L(\\d+))?$/.exec(location.hash) ?? [];
  for (const line of document.querySelectorAll('.lit')) line.classList.remove('lit');
  if (!from) return;
  for (let n = +from; n <= +(to ?? from); n++) document.getElementById('L' + n)?.classList.add('lit');
  document.getElementById('L' + from)?.scrollIntoView({ block: 'center' });
};
addEventListener('hashchange', mark); mark();
`;

function* filesIn(folder: string, ending: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesIn(path, ending);
    else if (entry.name.endsWith(ending)) yield path;
  }
}

const slashes = (path: string) => path.split(sep).join('/');

function foldersOf(files: Iterable<string>): Set<string> {
  const folders = new Set<string>();
  for (const file of files) {
    for (let folder = posix.dirname(file); folder !== '.'; folder = posix.dirname(folder)) folders.add(folder);
  }
  return folders;
}

/** A list of what is in a folder. */
function writeFolderPage(folder: string, files: Iterable<string>, out: string): void {
  const up = '../'.repeat(folder.split('/').length + 1);
  const inside = [...files]
    .filter((file) => file.startsWith(`${folder}/`))
    .map((file) => file.slice(folder.length + 1));
  const items = inside.map((file) => `<li><a href="${file}.html">${file}</a></li>`).join('\n');
  writeFileSync(
    join(out, 'source', folder, 'index.html'),
    `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>${folder}</title>\n<style>${STYLE}</style>\n<header><a href="${up}index.html">pingora-traced</a> / ${folder}</header>\n<ul>\n${items}\n</ul>\n</html>\n`,
  );
}

/** Write the pages below `out`/source, and turn the links of all other pages to them. */
export function writeSourcePages(root: string, out: string): void {
  const contents = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const path of filesIn(join(root, folder), '')) {
      const file = slashes(relative(root, path));
      if (!SHOWN.test(file)) continue;
      const text = readFileSync(path, 'utf8');
      contents.set(file, text);
      const to = join(out, 'source', `${file}.html`);
      const up = '../'.repeat(file.split('/').length);
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(
        to,
        `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>${file}</title>\n<style>${STYLE}</style>\n<header><a href="${up}index.html">pingora-traced</a> / ${file}</header>\n<pre>${highlighted(text, file)}</pre>\n<script>${SCRIPT}</script>\n</html>\n`,
      );
    }
  }

  const folders = [...foldersOf(contents.keys())];
  for (const folder of folders) writeFolderPage(folder, contents.keys(), out);

  // typedoc tells copies of the same name apart by a number: which file a copy is, its text says
  const copied = new Map<string, string>();
  for (const path of filesIn(join(out, 'media'), '')) {
    const text = readFileSync(path, 'utf8');
    const stem = basename(path).replace(/(-\d+)?(\.\w+)$/, '$2');
    const file = [...contents].find(([name, content]) => basename(name) === stem && content === text)?.[0];
    if (file === undefined) continue;
    copied.set(basename(path), file);
    rmSync(path);
  }
  for (const path of filesIn(out, '.html')) {
    if (slashes(relative(out, path)).startsWith('source/')) continue;
    const up = '../'.repeat(slashes(relative(out, path)).split('/').length - 1);
    const before = readFileSync(path, 'utf8');
    const after = before
      // what is inherited from JavaScript itself has no page here
      .replace(/<a href="[^"]*\/node_modules\/[^"]*">([\s\S]*?)<\/a>/g, '$1')
      .replaceAll(SOURCE_PAGES, `${up}source/`)
      .replaceAll(SITE, up)
      .replace(/href="(?:\.\.\/)*media\/([^"#]+)(#[^"]*)?"/g, (whole, copy: string, hash = '') => {
        const file = copied.get(copy);
        return file === undefined ? whole : `href="${up}source/${file}.html${hash}"`;
      })
      .replace(/href="(?:\.\.?\/)*([\w./-]+?)\/?(#[^"]*)?"/g, (whole, target: string, hash = '') => {
        if (contents.has(target)) return `href="${up}source/${target}.html${hash}"`;
        // typedoc takes a folder for a file that it could copy
        const folder = folders.find((name) => name === target || `media/${basename(name)}` === target);
        return folder === undefined ? whole : `href="${up}source/${folder}/index.html"`;
      });
    if (after !== before) writeFileSync(path, after);
  }
}
