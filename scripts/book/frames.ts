/** Prints the frames of a trace's connection for a chapter: by stream, each with the call that read or wrote it. */
import type { FrameEvent, TraceDocument } from '../../src/tracing/model.ts';

/** Frames of the connection itself, in this order whoever was faster. */
const ORDER = ['SETTINGS', 'WINDOW_UPDATE', 'PING', 'GOAWAY'];

/** What is the same in each run: of fields those that HTTP/2 itself adds, without the port. */
function facts({ type, length, facts = {} }: FrameEvent): string[] {
  if (type === 'DATA') return [`${length} bytes`];
  return Object.entries(facts).flatMap(([name, value]) =>
    Array.isArray(value)
      ? value.filter((line) => /^:(method|path|status):/.test(String(line))).map(String)
      : [`${name}: ${value}`],
  );
}

/** The frames as text. `side`: whose connection, `client` or `origin`. Throws if there was none. */
export function printFrames(trace: TraceDocument, side: string | undefined): string {
  const sides = { client: 'downstream', origin: 'upstream' } as const;
  const wanted = sides[side as keyof typeof sides];
  if (wanted === undefined) throw new Error('frames: side=client or side=origin?');
  const events = (trace.events ?? []).filter((event): event is FrameEvent => event.kind === 'frame');
  const id = trace.connections?.find(
    (one) => one.side === wanted && events.some((event) => event.connection === one.id),
  )?.id;
  if (id === undefined) throw new Error(`${trace.scenario} has no connection of HTTP/2 with the ${side}`);
  const own = events.filter((event) => event.connection === id);
  const lines: string[] = [];
  for (const stream of [...new Set(own.map((event) => event.stream))].sort((a, b) => a - b)) {
    lines.push(stream === 0 ? 'the connection itself' : `stream ${stream}`);
    const there = own.filter((event) => event.stream === stream);
    const rank = ({ type, flags, way }: FrameEvent) =>
      stream > 0 ? 0 : 10 * ORDER.indexOf(type) + 2 * flags.length + (way === 'in' ? 0 : 1);
    for (const event of there.toSorted((a, b) => rank(a) - rank(b))) {
      const call = trace.spans.find((span) => span.id === event.span)?.fn ?? '';
      const head = `  ${event.way === 'in' ? '←' : '→'} ${[event.type, ...event.flags].join(' ')}`;
      lines.push(`${head.padEnd(38)}  ${call}`.trimEnd(), ...facts(event).map((line) => `      ${line}`));
    }
  }
  return lines.join('\n');
}
