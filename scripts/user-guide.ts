/**
 * docs/USER-GUIDE.md: what Pingora's user guide promises, page by page, where the port keeps it, and the test that
 * shows it. Made from docs/user-guide.json by `npm run tables`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const GUIDE = 'https://github.com/cloudflare/pingora/blob/0.1.0/docs/user_guide/';

/** The pages of the guide at 0.1.0. */
const PAGES = [
  'conf.md',
  'ctx.md',
  'daemon.md',
  'error_log.md',
  'errors.md',
  'failover.md',
  'graceful.md',
  'index.md',
  'internals.md',
  'modify_filter.md',
  'panic.md',
  'peer.md',
  'phase.md',
  'phase_chart.md',
  'pooling.md',
  'prom.md',
  'start_stop.md',
  'systemd.md',
];

interface Page {
  page: string;
  title: string;
  promises: {
    /** What the guide says, in other words. */
    promise: string;
    /** The file that keeps it; `left out`. */
    port: string;
    /** `file > name > of the test`, or `none: ` and why there is none. */
    test: string;
    /** Where the port does otherwise on purpose: the id of a deviation. */
    differs?: string;
  }[];
}

/** Whether the file has tests, or groups of tests, with exactly these titles. */
function hasTest(root: string, reference: string): boolean {
  const [path, ...titles] = reference.split(' > ');
  if (path === undefined || titles.length === 0 || !existsSync(join(root, path))) return false;
  const source = readFileSync(join(root, path), 'utf8')
    .replace(/\\(['"`])/g, '$1')
    .replace(/\(\s+/g, '(');
  // a test that runs for the rows of a table has what tells them apart after its name
  return titles.every((title) =>
    ["'", '"', '`'].some(
      (quote) => source.includes(`(${quote}${title}${quote},`) || source.includes(`(${quote}${title}, $`),
    ),
  );
}

/** The page, and what is wrong with it. `deviations`: their ids. */
export function userGuide(root: string, deviations: readonly string[]): { page: string; problems: string[] } {
  const guide = JSON.parse(readFileSync(join(root, 'docs/user-guide.json'), 'utf8')) as Page[];
  const problems: string[] = [];
  const wrong = (page: string, what: string) => problems.push(`docs/user-guide.json: ${page}: ${what}`);
  const listed = guide.map(({ page }) => page);
  for (const page of PAGES) if (!listed.includes(page)) wrong(page, 'nothing about this page');
  for (const page of listed) {
    if (!PAGES.includes(page)) wrong(page, 'the guide has no such page');
    if (listed.indexOf(page) !== listed.lastIndexOf(page)) wrong(page, 'is there twice');
  }

  const cell = (text: string) => text.replaceAll('|', '\\|');
  let out = `# Pingora's user guide

What the [user guide](${GUIDE}index.md) of Pingora 0.1.0 promises, where the port keeps it, and the test that shows it.
Made from \`user-guide.json\` by \`npm run tables\`; don't edit it.
`;
  for (const { page, title, promises } of guide) {
    out += `\n## [${title}](${GUIDE}${page})\n\n| the guide promises | the port | shown by |\n| --- | --- | --- |\n`;
    if (promises.length === 0) wrong(page, 'no promises');
    for (const { promise, port, test, differs } of promises) {
      const none = test.startsWith('none: ');
      const [path, ...names] = test.split(' > ');
      const shown = none ? cell(test.slice(6)) : `[${cell(names.join(' › '))}](../${path})`;
      const place = port === 'left out' ? port : `[\`${port}\`](../${port})`;
      const but = differs === undefined ? '' : ` ([differs](DEVIATIONS.md#${differs}))`;
      out += `| ${cell(promise)} | ${place}${but} | ${shown} |\n`;
      if (!none && !hasTest(root, test)) wrong(page, `there is no test ${test}`);
      if (port !== 'left out' && !existsSync(join(root, port))) wrong(page, `there is no ${port}`);
      if (differs !== undefined && !deviations.includes(differs)) wrong(page, `there is no deviation ${differs}`);
    }
  }
  return { page: out, problems };
}
