/** The table of all kinds of load. */
import { cpus } from 'node:os';
import { type Case, cases } from './cases.ts';
import { type Cost, median, type Rounds } from './measure.ts';

/** A kind of load, and what the port costs beside the others. */
export interface Row {
  readonly kind: Case;
  /** By the other's name: the port's cost as a multiple of its, and requests of either that took over a second. */
  readonly beside: ReadonlyMap<string, { median: number; low: number; high: number; slow: number }>;
  /** Microseconds of CPU time a request of the port's. */
  readonly micros: number;
  readonly slow: number;
  /** For the terminal. */
  readonly text: string;
}

const PORT = 'pingora-traced';

/** What was measured of one kind of load, `names` being the proxies. */
export function row(kind: Case, names: readonly string[], measured: readonly (readonly Cost[])[]): Row {
  const mine = measured[names.indexOf(PORT)]!;
  const slowOf = (costs: readonly Cost[]) => costs.reduce((sum, { slow }) => sum + slow, 0);
  const beside = new Map(
    names
      .map((name, i) => [name, measured[i]!] as const)
      .filter(([name]) => name !== PORT)
      .map(([name, costs]) => {
        const ratios = mine.map(({ total }, round) => total / costs[round]!.total);
        return [
          name,
          { median: median(ratios), low: Math.min(...ratios), high: Math.max(...ratios), slow: slowOf(costs) },
        ];
      }),
  );
  const micros = median(mine.map(({ total }) => total));
  const slow = slowOf(mine);
  const ratios = [...beside].map(([name, { median, low, high, slow }]) => {
    return `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)}) of ${name}${slow > 0 ? `, ${slow} slow` : ''}`;
  });
  const text = `${kind.name.padEnd(9)} ${micros.toFixed(1).padStart(7)} µs${slow > 0 ? `, ${slow} slow` : ''}; ${ratios.join('; ')}`;
  return { kind, beside, micros, slow, text };
}

/** The columns, in their order; the port is compared with each. */
const OTHERS = ['Pingora 0.1.0', 'nginx', 'fast-proxy (undici)', 'node:http2 + undici', 'relay of bytes'];

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;

function tableRow(row: Row): string {
  const cells = OTHERS.map((name) => {
    const found = row.beside.get(name);
    return found && `${found.median.toFixed(2)} (${found.low.toFixed(2)} to ${found.high.toFixed(2)})`;
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
  return `# Benchmarks

What a request costs the port, as a multiple of what it costs each of the others: CPU time of the proxy's process, user
and system. One core for the proxy, one for load and origin; the proxies take turns, ${rounds} rounds of ${seconds} ${seconds === 1 ? 'second' : 'seconds'} each; the
median of the rounds' ratios, with the lowest and the highest. Answers have 64 bytes and connections are kept alive
where nothing else is said; HTTP/1.1 from 32 connections. The relay of bytes is a dozen lines of \`node:net\` (with TLS
\`node:tls\`) that read none of what they hand on: nothing in Node costs less, whatever it does. “Slow” counts requests
that took longer than a second, of the port and of the others, in all rounds.

Made by \`npm run bench -- --cases --write\` on ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}; \`--cases\` with
names renews these rows. Another machine gives other figures; the ratios move less than the microseconds.

${line(['', ...OTHERS.map((name) => `port / ${name}`), 'µs', 'slow'])}
${line(['', ...OTHERS, '', ''].map(() => '---'))}
${lines.join('\n')}
`;
}
