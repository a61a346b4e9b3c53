/**
 * The origin: answers each request with as many bytes as its path says, `/64` with 64. It parses nothing more than it
 * has to, so that the proxy is what is measured, and not how long it is left to sleep.
 */
import { createSecureServer } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { readDirectly } from '../src/node/direct-socket.ts';

const HEAD_END = Buffer.from('\r\n\r\n');
const bodies = new Map<number, Buffer>();
const answers = new Map<string, Buffer>();

/** The body of an answer of so many bytes. */
export function bodyOf(length: number): Buffer {
  let body = bodies.get(length);
  if (body === undefined) {
    body = Buffer.alloc(length, 'pingora-traced. ');
    bodies.set(length, body);
  }
  return body;
}

function answerTo(path: string): Buffer {
  let answer = answers.get(path);
  if (answer === undefined) {
    const body = bodyOf(Number(path.slice(1)) || 0);
    answer = Buffer.concat([
      Buffer.from(
        'HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n' +
          `Content-Length: ${body.length}\r\nConnection: keep-alive\r\n\r\n`,
      ),
      body,
    ]);
    answers.set(path, answer);
  }
  return answer;
}

/** Start it with HTTP/1.1; resolves with its port. */
export function startOrigin(): Promise<number> {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    let left: Buffer | null = null;
    /** Bytes of a request's body that are still to come, and what answers it then. */
    let body = 0;
    let answer: Buffer | null = null;
    const connection = readDirectly(socket, (bytes) => {
      let data = left === null ? bytes : Buffer.concat([left, bytes]);
      left = null;
      while (data.length > 0 || (answer !== null && body === 0)) {
        if (answer !== null) {
          const taken = Math.min(body, data.length);
          body -= taken;
          data = data.subarray(taken);
          if (body > 0) return;
          connection.write(answer);
          answer = null;
          continue;
        }
        const end = data.indexOf(HEAD_END);
        if (end < 0) {
          left = data;
          return;
        }
        const head = data.toString('latin1', 0, end);
        data = data.subarray(end + HEAD_END.length);
        answer = answerTo(head.split(' ', 2)[1]!);
        body = head.startsWith('GET') ? 0 : Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      }
    })!;
    connection.on('error', () => connection.destroy());
    connection.resume();
  });
  return new Promise((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 65535 }, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Start one with HTTP/2 over TLS; resolves with its port. */
export function startH2Origin(tls: { cert: Buffer; key: Buffer }): Promise<number> {
  const server = createSecureServer(tls);
  server.on('stream', (stream, headers) => {
    const body = bodyOf(Number(headers[':path']!.slice(1)) || 0);
    stream.on('error', () => {});
    stream.resume();
    stream.on('end', () => {
      stream.respond({ ':status': 200, server: 'origin', 'content-type': 'text/plain', 'content-length': body.length });
      stream.end(body);
    });
  });
  return new Promise((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 65535 }, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}
