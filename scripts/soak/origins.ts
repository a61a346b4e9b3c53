/** The origins of `npm run soak`: what a request's path says, they do. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '../../src/utils/self-signed.ts';

/** Of a body of so many bytes, each says where it is. */
export function bodyOf(size: number): Buffer {
  return Buffer.alloc(size, '0123456789abcdef');
}

type Asked = IncomingMessage | Http2ServerRequest;
type Answering = ServerResponse | Http2ServerResponse;

function answer(request: Asked, response: Answering): void {
  const [, what = '', size = '0'] = (request.url ?? '').split('/');
  response.on('error', () => {});
  request.on('error', () => {});
  let received = 0;
  request.on('data', (piece: Buffer) => {
    received += piece.length;
  });
  const socket = () => (request as IncomingMessage).socket;
  switch (what) {
    case 'get':
      response.end(bodyOf(Number(size)));
      break;
    case 'post':
      request.on('end', () => response.end(String(received)));
      break;
    // an answer before the body is read
    case 'early':
      response.writeHead(413).end('early');
      break;
    case 'stall':
      break;
    case 'half':
      response.writeHead(200, { 'content-length': '1000' });
      (response as ServerResponse).write('half');
      setTimeout(() => socket().destroy(), 5);
      break;
    case 'reset':
      socket().destroy();
      break;
    default:
      response.writeHead(404).end();
  }
}

/** Start them; returns their addresses, and what stops them. */
export async function startOrigins(): Promise<{ h1: string; h2: string; stop(): void }> {
  const h1 = createServer(answer);
  // a tunnel: what comes goes back
  h1.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  h1.on('clientError', (_error, socket) => socket.destroy());
  const { cert, key } = await selfSigned(['localhost']);
  const h2 = createSecureServer({ cert, key }, answer);
  h2.on('sessionError', () => {});
  const address = async (server: typeof h1 | typeof h2): Promise<string> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  return {
    h1: await address(h1),
    h2: await address(h2),
    stop() {
      h1.closeAllConnections();
      h1.close();
      h2.close();
    },
  };
}
