/** Bytes and frames as lines of text. */
import type { BytesEvent, FrameEvent, TraceConnection } from '../tracing/model.ts';

/** Whether bytes (one character a byte) can be read: text with line ends and tabs. */
export function isText(bytes: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they tell text from what isn't
  return !/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]/.test(bytes);
}

/** `47 45 54 20  GET ` in lines of sixteen bytes. */
export function hexLines(bytes: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const piece = bytes.slice(at, at + 16);
    const hex = Array.from(piece, (letter) => letter.charCodeAt(0).toString(16).padStart(2, '0')).join(' ');
    const shown = piece.replace(/[^\x20-\x7e]/g, '·');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${shown}`);
  }
  return lines;
}

/** Text in lines, their ends shown: `↵` for CR LF, alone they are spelt. What is no text in hexadecimal. */
export function bytesLines(bytes: string): string[] {
  if (!isText(bytes)) return hexLines(bytes);
  const lines = bytes.split('\n').map((line, i, all) => (i < all.length - 1 ? `${line}\n` : line));
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) =>
    line
      .replace('\r\n', '↵')
      .replace(/[\r\n\t]/g, (letter) => (letter === '\r' ? '\\r' : letter === '\n' ? '\\n' : '\\t')),
  );
}

const END = { downstream: 'client', upstream: 'origin' } as const;

/** `→ 46 bytes to the origin, connection 2` */
export function wireHead(event: BytesEvent | FrameEvent, connections: readonly TraceConnection[]): string {
  const side = connections.find(({ id }) => id === event.connection)?.side ?? 'downstream';
  const [arrow, word] = event.way === 'in' ? ['←', 'from'] : ['→', 'to'];
  const where = `${word} the ${END[side]}, connection ${event.connection}`;
  if (event.kind === 'bytes') return `${arrow} ${event.length} ${event.length === 1 ? 'byte' : 'bytes'} ${where}`;
  const flags = event.flags.length === 0 ? '' : ` ${event.flags.join(' ')}`;
  return `${arrow} ${event.type} stream ${event.stream}${flags}, ${event.length} bytes ${where}`;
}
