/**
 * Hands bytes on and reads none of them: what `node:net` costs whoever proxies with it, and below which nothing in Node
 * comes. Arguments: port to listen on, port of the origin, and for TLS the files of certificate and key.
 */
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

const [listen, origin] = process.argv.slice(2, 4).map(Number);
const [cert, key] = process.argv.slice(4);

function relay(client: Socket): void {
  const upstream = connect({ port: origin!, host: '127.0.0.1', noDelay: true });
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.on('data', (bytes) => {
      if (!to.write(bytes)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}

const options = { noDelay: true, allowHalfOpen: true };
const server =
  cert === undefined
    ? createServer(options, relay)
    : createTlsServer({ ...options, cert: readFileSync(cert), key: readFileSync(key!) }, relay);
server.listen({ port: listen!, host: '127.0.0.1', backlog: 65535 });
