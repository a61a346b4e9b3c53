/** The table of all kinds of load. */
import { cpus } from 'node:os';
import { type Case, cases } from './cases.ts';
import { type Cost, median, type Rounds } from './measure.ts';

/** The ratios of all rounds. */
interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

const spread = (ratios: readonly number[]): Spread => ({
  median: median(ratios),
  low: Math.min(...ratios),
  high: Math.max(...ratios),
});

const said = ({ median, low, high }: Spread) => `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;

/** A kind of load, and what the port costs beside the others. */
export interface Row {
  readonly kind: Case;
  /** By the other's name: the port's cost as a multiple of its, and requests of either that took over a second. */
  readonly beside: ReadonlyMap<string, Spread & { slow: number }>;
  /** Microseconds of CPU time a request of the port's. */
  readonly micros: number;
  readonly slow: number;
  /** The port's cost as a multiple of its own with another kind of load. */
  readonly besideOther: Spread | undefined;
  /** For the terminal. */
  readonly text: string;
}

/** What the port is called among the proxies. */
export const PORT = 'pingora-traced';

/** What was measured of one kind of load, `names` being the proxies. `other`: the port beside itself with another kind. */
export function row(
  kind: Case,
  names: readonly string[],
  measured: readonly (readonly Cost[])[],
  other?: readonly number[],
): Row {
  const mine = measured[names.indexOf(PORT)]!;
  const slowOf = (costs: readonly Cost[]) => costs.reduce((sum, { slow }) => sum + slow, 0);
  const beside = new Map(
    names
      .map((name, i) => [name, measured[i]!] as const)
      .filter(([name]) => name !== PORT)
      .map(([name, costs]) => {
        const ratios = mine.map(({ total }, round) => total / costs[round]!.total);
        return [name, { ...spread(ratios), slow: slowOf(costs) }];
      }),
  );
  const micros = median(mine.map(({ total }) => total));
  const slow = slowOf(mine);
  const ratios = [...beside].map(([name, each]) => {
    return `${said(each)} of ${name}${each.slow > 0 ? `, ${each.slow} slow` : ''}`;
  });
  const besideOther = other && spread(other);
  if (besideOther !== undefined) ratios.push(`${said(besideOther)} of itself with ${aboutOther(kind)}`);
  const text = `${kind.name.padEnd(9)} ${micros.toFixed(1).padStart(7)} µs${slow > 0 ? `, ${slow} slow` : ''}; ${ratios.join('; ')}`;
  return { kind, beside, micros, slow, besideOther, text };
}

/** As the table says the other kind of load that `kind` is measured beside. */
const aboutOther = (kind: Case) => cases.find(({ name }) => name === kind.beside)!.about;

/** How the line below the table begins that has the port beside itself, with `kind` and another kind. */
const besideLine = (kind: Case) => `For the port a request of “${kind.about}” costs `;

/** The columns, in their order; the port is compared with each. */
const OTHERS = ['Pingora 0.1.0', 'nginx', 'fast-proxy (undici)', 'node:http2 + undici', 'relay of bytes'];

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;

function tableRow(row: Row): string {
  const cells = OTHERS.map((name) => {
    const found = row.beside.get(name);
    return found && said(found);
  });
  const whoseAreSlow = [
    ['port', row.slow] as const,
    ...[...row.beside].map(([name, { slow }]) => [name, slow] as const),
  ];
  const slow = whoseAreSlow.filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`);
  return line([row.kind.about, ...cells.map((cell) => cell ?? ''), row.micros.toFixed(0), slow.join(', ') || 'none']);
}

/** The page `BENCHMARKS.md`. What wasn't measured this time stays as it is in `before`, the page that there was. */
export function markdown(rows: readonly Row[], { rounds, seconds }: Rounds, before = ''): string {
  const lines = cases.flatMap(({ name, about }) => {
    const measured = rows.find(({ kind }) => kind.name === name);
    const kept = before.split('\n').find((text) => text.startsWith(`| ${about} |`));
    return measured !== undefined ? [tableRow(measured)] : kept !== undefined ? [kept] : [];
  });
  const below = cases.flatMap((kind) => {
    if (kind.beside === undefined) return [];
    const measured = rows.find((row) => row.kind.name === kind.name)?.besideOther;
    const kept = before.split('\n').find((text) => text.startsWith(besideLine(kind)));
    return measured !== undefined
      ? [`${besideLine(kind)}${said(measured)} times what one of “${aboutOther(kind)}” does.`]
      : kept !== undefined
        ? [kept]
        : [];
  });
  return `# Benchmarks

What a request costs the port, as a multiple of what it costs each of the others: CPU time of the proxy's process, user
and system. One core for the proxy, one for load and origin; the proxies take turns, ${rounds} rounds of ${seconds} ${seconds === 1 ? 'second' : 'seconds'} each when
rows were last renewed; the median of the rounds' ratios, with the lowest and the highest. Answers have 64 bytes and connections are kept alive
where nothing else is said; HTTP/1.1 from 32 connections. Clients of HTTP/2 open windows of 1 GiB, as h2load does. The
relay of bytes is a dozen lines of \`node:net\` (with TLS \`node:tls\`) that read none of what they hand on: nothing in
Node costs less, whatever it does. “Slow” counts requests that took longer than a second, of the port and of the others,
in all rounds.

Made by \`npm run bench -- --cases --write\` on ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}; \`--cases\` with
names renews these rows. Another machine gives other figures; the ratios move less than the microseconds.

${line(['', ...OTHERS.map((name) => `port / ${name}`), 'µs', 'slow'])}
${line(['', ...OTHERS, '', ''].map(() => '---'))}
${lines.join('\n')}
${below.map((text) => `\n${text}\n`).join('')}`;
}
