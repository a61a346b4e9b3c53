/**
 * `npm run tables`: writes docs/MODULES.md, what of Pingora is ported, where, and what isn't and why; and
 * docs/DEVIATIONS.md, where the port differs on purpose; docs/USER-GUIDE.md (`user-guide.ts`); and the methods of
 * src/proxy/hooks.ts (`forwarders.ts`). `--check` writes nothing and fails if they aren't up to date.
 *
 * Counterparts come from the code: a function with a span by its span's name, one without by its own name in the files
 * that port its file. What has neither needs a reason in `modules.reasons.json`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { declaredSites } from '../src/tracing/sites.ts';
import { type Deviation, deviationsPage } from './deviations-page.ts';
import { hooksFile } from './forwarders.ts';
import { userGuide } from './user-guide.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const TAG = 'https://github.com/cloudflare/pingora/blob/0.1.0/';

interface RustFunction {
  file: string;
  line: number;
  name: string;
}

interface Reasons {
  /** A reason for the functions of these files (a prefix) whose name matches; the first one counts. */
  leftOut: { files: string; functions?: string; reason: string }[];
  /** `file#function`: the name of its counterpart, where it isn't the same in camelCase. */
  renamed: Record<string, string>;
}

const read = (path: string) => readFileSync(join(root, path), 'utf8');

function rustFunctions(): RustFunction[] {
  return read('src/tracing/pingora-0.1.0/functions.tsv')
    .split('\n')
    .slice(1)
    .filter((row) => row !== '')
    .map((row) => {
      const [file, line, name] = row.split('\t');
      return { file: file!, line: Number(line), name: name! };
    });
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sources(path);
    return path.endsWith('.ts') ? [path] : [];
  });
}

const camel = (name: string) => name.replace(/_+(\w)/g, (_, letter: string) => letter.toUpperCase());
const escaped = (text: string) => text.replace(/[$.*+?^{}()|[\]\\]/g, '\\$&');

/** The function's own name: what follows the last `::`. */
const ownName = (name: string) => name.slice(name.lastIndexOf('::') + 2);

/** Whether `source` declares something of this name. */
function declares(source: string, name: string): boolean {
  if (name === 'new') return /\bstatic new\(|\bconstructor\(|\bstatic new</.test(source);
  return new RegExp(
    `(?:^\\s*(?:private )?\\*?|\\b(?:static|async|get|set|function|const|private|readonly|override|abstract)\\s+)#?_?${escaped(name)}\\??\\s*[(<=:]`,
    'm',
  ).test(source);
}

const GETTER = /^(is_|as_|get_|has_|no_)|^(id|name|len|threads|address|sni|tls|status|version|method|uri)$/;
const CONVERSION = /^(from|into|to_|try_from|fmt|clone|eq|hash|deref|default|parse|display|as_ref)/;
const kindOf = (name: string) =>
  CONVERSION.test(name) ? 'conversion' : GETTER.test(name) ? 'getter' : 'value or helper';

interface Row {
  file: string;
  total: number;
  ports: string[];
  spans: RustFunction[];
  plain: { rust: RustFunction; kind: string }[];
  leftOut: Map<string, RustFunction[]>;
}

const problems: string[] = [];

function moduleRows(): Row[] {
  const functions = rustFunctions();
  const reasons = JSON.parse(read('scripts/modules.reasons.json')) as Reasons;
  const text = new Map(sources('src').map((path) => [path, read(path)]));
  const sites = declaredSites();
  const known = new Set(functions.map(({ file, name }) => `${file}#${name}`));
  for (const { rust, fn, file, line } of sites) {
    if (rust !== null && !known.has(`${rust}#${fn}`)) problems.push(`${file}:${line}: Pingora has no ${fn} in ${rust}`);
  }
  const spans = new Map<string, string>();
  for (const { rust, fn, file } of sites) if (rust !== null) spans.set(`${rust}#${fn}`, file);

  const used = new Set<string>();
  const rows = new Map<string, Row>();
  for (const rust of functions) {
    let row = rows.get(rust.file);
    if (row === undefined) {
      const ports = [...text].filter(([, source]) => mentions(source, rust.file)).map(([path]) => path);
      row = { file: rust.file, total: 0, ports, spans: [], plain: [], leftOut: new Map() };
      rows.set(rust.file, row);
    }
    row.total++;
    const key = `${rust.file}#${rust.name}`;
    const span = spans.get(key);
    if (span !== undefined) {
      row.spans.push(rust);
      if (!row.ports.includes(span)) row.ports.push(span);
      continue;
    }
    const renamed = reasons.renamed[key];
    const name = renamed ?? camel(ownName(rust.name));
    if (renamed !== undefined) used.add(key);
    const [elsewhere, local] = name.includes('#') ? [name.split('#')[0]!, name.split('#')[1]!] : [undefined, name];
    const places = elsewhere === undefined ? row.ports : [elsewhere];
    if (places.some((path) => declares(text.get(path) ?? '', local))) {
      row.plain.push({ rust, kind: kindOf(ownName(rust.name)) });
      continue;
    }
    if (renamed !== undefined)
      problems.push(`modules.reasons.json: ${key} is renamed to ${renamed}, which isn't there`);
    const why = reasons.leftOut.find(
      ({ files, functions: pattern }) =>
        rust.file.startsWith(files) && (pattern === undefined || new RegExp(pattern).test(rust.name)),
    );
    if (why === undefined) {
      problems.push(`${rust.file}:${rust.line}: ${rust.name} has no counterpart and no reason`);
      continue;
    }
    used.add(why.reason);
    row.leftOut.set(why.reason, [...(row.leftOut.get(why.reason) ?? []), rust]);
  }
  for (const { reason } of reasons.leftOut)
    if (!used.has(reason)) problems.push(`modules.reasons.json: unused: ${reason}`);
  for (const key of Object.keys(reasons.renamed)) {
    if (!used.has(key)) problems.push(`modules.reasons.json: renamed and not needed: ${key}`);
  }
  return [...rows.values()];
}

/** Whether a file says that it ports this file of Pingora's. */
function mentions(source: string, rust: string): boolean {
  if (source.includes(`ported('${rust}')`)) return true;
  for (const [, folder, names] of source.matchAll(/Port of (?:[^`]{0,60})?`([\w/-]+\/)\{([\w,/]+)\}\.rs`/g)) {
    if (names!.split(',').some((name) => `${folder}${name}.rs` === rust)) return true;
  }
  return source.includes(`\`${rust}\``);
}

const link = ({ file, line, name }: RustFunction) => `[\`${name}\`](${TAG}${file}#L${line})`;
const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

function modulesPage(rows: Row[]): string {
  const crates = [...new Set(rows.map(({ file }) => file.split('/')[0]!))];
  const sum = (pick: (row: Row) => number) => rows.reduce((total, row) => total + pick(row), 0);
  const missing = (row: Row) => row.total - row.spans.length - row.plain.length;
  let out = `# Modules

Every file of Pingora 0.1.0 that has functions, what ports it, and what is left out and why. Made from the code by
\`npm run tables\`; don't edit it.

Of ${sum(({ total }) => total)} functions ${sum(({ spans }) => spans.length)} are ported with a span,
${sum(({ plain }) => plain.length)} without one (they only give, convert or hold a value), and ${sum(missing)} are left out.
`;
  for (const crate of crates) {
    out += `\n## ${crate}\n\n| Pingora | port | functions | with a span | without | left out |\n| --- | --- | --: | --: | --: | --: |\n`;
    const ofCrate = rows.filter(({ file }) => file.startsWith(`${crate}/`));
    for (const row of ofCrate) {
      const name = row.file.slice(crate.length + 1);
      const ports =
        row.ports
          .sort()
          .map((path) => `[\`${path}\`](../${path})`)
          .join('<br>') || '–';
      out += `| [\`${name}\`](${TAG}${row.file}) | ${ports} | ${row.total} | ${row.spans.length} | ${row.plain.length} | ${missing(row)} |\n`;
    }
    const byReason = new Map<string, RustFunction[]>();
    for (const { leftOut } of ofCrate) {
      for (const [reason, functions] of leftOut) byReason.set(reason, [...(byReason.get(reason) ?? []), ...functions]);
    }
    if (byReason.size > 0) out += '\nLeft out:\n\n';
    for (const [reason, functions] of byReason) {
      const whole = ofCrate.every(({ total, leftOut }) => leftOut.get(reason)?.length === total);
      out += `- ${reason}: ${whole ? `all ${counted(functions.length, 'function')}` : functions.map(link).join(', ')}\n`;
    }
    const plain = new Map<string, RustFunction[]>();
    for (const row of ofCrate) {
      for (const { rust, kind } of row.plain) plain.set(kind, [...(plain.get(kind) ?? []), rust]);
    }
    if (plain.size > 0) out += '\nWithout a span:\n\n';
    for (const [kind, functions] of [...plain].sort()) out += `- ${kind}: ${functions.map(link).join(', ')}\n`;
  }
  return out;
}

/**
 * Whether the file has tests of these names. A name may be made of a row of a table: `%s`, `$name` and `${…}` fit all.
 */
function testExists(reference: string): boolean {
  const [path, ...names] = reference.split(' > ');
  if (path === undefined || names.length === 0 || !existsSync(join(root, path))) return false;
  const source = read(path).replace(/\\(['"`])/g, '$1');
  const patterns = [...source.matchAll(/\(\s*(['"`])(.*?(?:%[sdij]|\$\w+|\$\{).*?)\1,/g)].map(
    ([, , title]) => new RegExp(`^${escaped(title!).replace(/%[sdij]|\\\$\\\{.*?\\\}|\\\$\w+/g, '.*')}$`),
  );
  return names.every((name) => source.includes(name) || patterns.some((pattern) => pattern.test(name)));
}

function deviations(): Deviation[] {
  const list = JSON.parse(read('docs/deviations.json')) as Deviation[];
  const seen = new Set<string>();
  for (const { id, test } of list) {
    if (seen.has(id)) problems.push(`docs/deviations.json: ${id} is there twice`);
    seen.add(id);
    if (!test.startsWith('none: ') && !testExists(test)) {
      problems.push(`docs/deviations.json: ${id}: there is no test ${test}`);
    }
  }
  const wire = JSON.parse(read('src/tracing/pingora-0.1.0/wire.json')) as { name: string; port: unknown }[];
  for (const { name, port } of wire) {
    if (typeof port !== 'object' || port === null || !('differs' in port)) continue;
    if (!list.some(({ test }) => test.includes(` > ${name}: `))) {
      problems.push(`docs/deviations.json: nothing about ${name}, which differs by wire.json`);
    }
  }
  return list;
}

/** What the tables say now, by file, and what is wrong. */
export function tables(): { pages: Record<string, string>; problems: string[] } {
  problems.length = 0;
  const known = deviations();
  const guide = userGuide(
    root,
    known.map(({ id }) => id),
  );
  const pages = {
    'docs/MODULES.md': modulesPage(moduleRows()),
    'docs/DEVIATIONS.md': deviationsPage(known, (text) => problems.push(text)),
    'docs/USER-GUIDE.md': guide.page,
    ...hooksFile(root),
  };
  problems.push(...guide.problems);
  return { pages, problems: [...problems] };
}

/** The pages that aren't what the code says. */
export function stale(pages: Record<string, string>): string[] {
  return Object.keys(pages).filter((path) => !existsSync(join(root, path)) || read(path) !== pages[path]);
}

function main(): void {
  const { pages, problems: found } = tables();
  for (const problem of found) console.error(problem);
  if (process.argv.includes('--check')) {
    const old = stale(pages);
    for (const path of old) console.error(`${path} is not up to date: npm run tables`);
    if (old.length > 0 || found.length > 0) process.exitCode = 1;
    return;
  }
  mkdirSync(join(root, 'docs'), { recursive: true });
  for (const [path, page] of Object.entries(pages)) writeFileSync(join(root, path), page);
  if (found.length > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
