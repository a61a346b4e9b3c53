/** docs/DEVIATIONS.md: where the port differs on purpose, by area. */
import { slug } from './slug.ts';

export interface Deviation {
  id: string;
  pingora: string;
  port: string;
  reason: string;
  /** `file > name > of the test`, or `none: ` and why there can't be one. */
  test: string;
}

const TAG = 'https://github.com/cloudflare/pingora/blob/0.1.0/';

interface Area {
  title: string;
  /** Of these, by their ids. */
  ids?: RegExp;
  /** Those whose test is there. */
  tests?: RegExp;
}

/** In the order of the page. A deviation belongs to the first area whose ids have it, else to the first whose tests do. */
const AREAS: readonly Area[] = [
  {
    title: 'HTTP/1: heads, bodies and kept connections',
    tests: /^test\/(?:wire|http|fuzz|robustness|protocols\/(?:h1|l4)|node\/reset|proxy\/(?:hop-by-hop|upgrade))/,
  },
  {
    title: 'HTTP/2',
    ids: /^(?:h2|no-h2c)/,
    tests: /^test\/(?:h2|protocols\/h2|connectors\/http)\//,
  },
  {
    title: 'The exchange: hooks, bodies, retries',
    ids: /^writes-at-the-end-of-a-turn$/,
    tests: /^test\/(?:proxy\/|main\/gateway)/,
  },
  { title: 'Compression', ids: /^compression-/, tests: /^test\/protocols\/http\/compression/ },
  {
    title: 'Peers, connections to origins, the pool',
    ids: /^(?:no-connect-offload|bind-takes-port-early|no-second-keyshare|idle-timeout-zero|tls-client-floor)$/,
    tests: /^test\/(?:upstreams|pool|connectors|protocols\/raw-connect)/,
  },
  {
    title: 'Listening: sockets, Unix sockets, TLS',
    tests: /^test\/(?:listeners|services)\//,
  },
  { title: 'Load balancing and health checks', tests: /^test\/load-balancing\// },
  {
    title: 'Shutdown, and handing over to a new process',
    ids: /^(?:graceful-|transfer-|grace-period|sig|idle-ends|shutdown-|load-balancer-stops|bind-retry-stops|uds-file-removed)/,
    tests: /^test\/server\/(?:upgrade|transfer-fd)/,
  },
  {
    title: 'Threads',
    ids: /^(?:threads-|main-runs-in|state-exists|stealing-|no-steal|background-in)/,
    tests: /^test\/(?:server\/threads|runtime)/,
  },
  {
    title: 'The server: configuration, daemon, logs, metrics',
    ids: /^(?:proxy-metrics|metrics-|prometheus-|pingora-log|log-heads|stream-id-unique|spawn-logs|timer-buckets)/,
    tests: /^test\/(?:server|main|log|timeout|apps|modules|error|utils|values)/,
  },
];

/** The heading under which a deviation stands; null if no area takes it. */
export function areaOf({ id, test }: Pick<Deviation, 'id' | 'test'>): string | null {
  const area = AREAS.find(({ ids }) => ids?.test(id)) ?? AREAS.find(({ tests }) => tests?.test(test));
  return area?.title ?? null;
}

/** A path in Pingora as a link that is as short as can be told apart: `v1/server.rs`. */
const linked = (text: string) =>
  text.replace(/pingora-[a-z-]+\/src\/[\w/]+\.rs/g, (file) => {
    const parts = file.replace('/src/', '/').split('/');
    return `[\`${parts.slice(-2).join('/')}\`](${TAG}${file})`;
  });

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function row({ id, pingora, port, reason, test }: Deviation): string {
  const [path, ...names] = test.split(' > ');
  const proof = test.startsWith('none: ')
    ? `No test: ${cell(test.slice('none: '.length))}`
    : `[Test](../${path} "${cell(names.join(' › ')).replaceAll('"', '&quot;')}")`;
  return `| <a id="${id}"></a>**\`${id}\`**: ${linked(cell(pingora))} | ${cell(port)}. *Why:* ${cell(reason)}. ${proof} |\n`;
}

/** The page. `problem` is told what no area takes. */
export function deviationsPage(deviations: readonly Deviation[], problem: (text: string) => void): string {
  const byArea = new Map<string, Deviation[]>(AREAS.map(({ title }) => [title, []]));
  for (const deviation of deviations) {
    const rows = byArea.get(areaOf(deviation) ?? '');
    if (rows) rows.push(deviation);
    else problem(`docs/deviations.json: ${deviation.id}: no area of scripts/deviations-page.ts takes it`);
  }
  const areas = [...byArea].filter(([, rows]) => rows.length > 0);
  const list = areas.map(([title, rows]) => `- [${title}](#${slug(title)}) (${rows.length})`);
  const tables = areas.map(
    ([title, rows]) =>
      `## ${title}\n\n| Pingora 0.1.0 | the port, and why |\n| --- | --- |\n${rows.map((one) => row(one)).join('')}`,
  );
  return `# Deviations

Where the port differs from Pingora 0.1.0 on purpose: because JavaScript is another language, or because 0.1.0 is wrong
or unsafe there. Each has a test. Made from \`deviations.json\` by \`npm run tables\`; don't edit it.

${list.join('\n')}

${tables.join('\n')}`;
}
