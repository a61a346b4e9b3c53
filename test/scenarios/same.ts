/**
 * What is to be the same of two runs' deeds: everything but what the system and the network decide.
 *
 * - Ports, dates and names of temporary folders are masked, and the numbers that Prometheus is told.
 * - The order among connections isn't kept, nor which process had which: the system decides.
 * - Of HTTP/2 the frames are compared, stream by stream in each direction, with the fields of heads: which frames of
 *   different streams leave in one write, and what was written before something was read, hangs on when the origins'
 *   answers arrive. Window updates and PING are left out: they come once so many bytes were read, or so much time has
 *   passed. (That one turn's frames leave in one write is held by `test/tracing/same-deeds.test.ts`.)
 */
import { PREFACE } from '../../src/h2/frame.ts';
import { Blocks, type Frame, frames } from '../h2/raw.ts';
import type { Deeds } from './deeds.ts';

const [HEADERS, PING, WINDOW_UPDATE] = [1, 6, 8];
const PRIORITY = 0x20;

function masked(text: string): string {
  return text
    .replace(/(127\.0\.0\.1|localhost|\[::1?\]):\d+/g, '$1:PORT')
    .replace(/pingora-traced-\w+/g, 'DIR')
    .replace(/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, 'DATE')
    .replace(/^(\w+(?:\{[^}]*\})?) [\d.e+-]+$/gm, '$1 NUMBER');
}

/** A direction's frames, stream by stream. */
function framesOf(text: string): string[] {
  let bytes = Buffer.from(text, 'latin1');
  if (bytes.subarray(0, PREFACE.length).equals(PREFACE)) bytes = bytes.subarray(PREFACE.length);
  const blocks = new Blocks();
  const streams = new Map<number, string[]>();
  for (const one of frames(bytes)) {
    const told = masked(
      JSON.stringify(one.type === HEADERS ? blocks.read(block(one)) : one.payload.toString('latin1')),
    );
    if (one.type === PING || one.type === WINDOW_UPDATE) continue;
    const list = streams.get(one.stream) ?? [];
    streams.set(one.stream, list);
    list.push(`stream ${one.stream} type ${one.type} flags ${one.flags} ${told}`);
  }
  return [...streams.values()].flat().sort((a, b) => Number(a.split(' ')[1]) - Number(b.split(' ')[1]));
}

/** HEADERS without what stands before its block. */
function block(one: Frame): Frame {
  return (one.flags & PRIORITY) === 0 ? one : { ...one, payload: one.payload.subarray(5) };
}

type Socket = Deeds['sockets'][number];

function socket([side, deeds]: Socket): string[] {
  const all = (what: string) => deeds.flatMap(([one, bytes]) => (one === what ? [bytes] : [])).join('');
  const begins = PREFACE.toString('latin1');
  if (!all('read').startsWith(begins) && !all('write').startsWith(begins)) {
    return [side, ...deeds.map(([what, bytes]) => `${what} ${masked(bytes)}`)];
  }
  const others = deeds.filter(([what]) => what !== 'read' && what !== 'write').map(([what]) => what);
  return [side, 'HTTP/2', 'read:', ...framesOf(all('read')), 'write:', ...framesOf(all('write')), ...others];
}

/** What is to be the same. */
export function comparable(processes: readonly Deeds[]): object {
  const sum = (count: (deeds: Deeds) => number) => processes.reduce((total, deeds) => total + count(deeds), 0);
  const sockets = processes.flatMap((deeds) => deeds.sockets.map(socket));
  return {
    sockets: sockets.sort((a, b) => (a.join('\n') < b.join('\n') ? -1 : 1)),
    deadlines: sum(({ deadlines }) => deadlines),
    timers: sum(({ timers }) => timers),
    tasks: sum(({ tasks }) => tasks),
  };
}
