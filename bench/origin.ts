/**
 * The origin: answers each request head with the same bytes. It parses nothing more than it has to, so that the proxy
 * is what is measured, and not how long it is left to sleep.
 */
import { type AddressInfo, createServer } from 'node:net';
import { readDirectly } from '../src/node/direct-socket.ts';

/** 64 bytes. */
export const ORIGIN_BODY = `${'pingora '.repeat(7)}-traced.`;

const ANSWER = Buffer.from(
  'HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n' +
    `Content-Length: ${ORIGIN_BODY.length}\r\nConnection: keep-alive\r\n\r\n${ORIGIN_BODY}`,
);
const HEAD_END = Buffer.from('\r\n\r\n');

/** Start it; resolves with its port. */
export function startOrigin(): Promise<number> {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    let left: Buffer | null = null;
    const connection = readDirectly(socket, (bytes) => {
      let data = left === null ? bytes : Buffer.concat([left, bytes]);
      for (let end = data.indexOf(HEAD_END); end >= 0; end = data.indexOf(HEAD_END)) {
        connection.write(ANSWER);
        data = data.subarray(end + HEAD_END.length);
      }
      left = data.length === 0 ? null : data;
    })!;
    connection.on('error', () => connection.destroy());
    connection.resume();
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
