/**
 * A proxy of node:http2 and undici. Arguments: port to listen on, port of the origin, certificate, key, and `h2` if the
 * origin speaks HTTP/2.
 */
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { PassThrough } from 'node:stream';
import { Pool } from 'undici';

const [listen, origin, cert, key, version] = process.argv.slice(2);
const pool =
  version === 'h2'
    ? new Pool(`https://127.0.0.1:${origin}`, {
        connections: 4,
        allowH2: true,
        // the certificate was made for this run, by the one who runs it
        connect: { rejectUnauthorized: false },
      })
    : new Pool(`http://127.0.0.1:${origin}`, { connections: 128, pipelining: 1 });
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection']);

const server = createSecureServer({ cert: readFileSync(cert!), key: readFileSync(key!) });
// clients go away while they are answered
server.on('sessionError', () => {});
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const fields: Record<string, string> = {};
  for (const name in headers) if (name[0] !== ':') fields[name] = String(headers[name]);
  fields.host ??= String(headers[':authority']);
  const method = headers[':method'] as 'GET';
  pool.stream(
    {
      path: headers[':path']!,
      method,
      headers: fields,
      // undici destroys a body once it was sent, and this stream is to carry the answer
      body: stream.endAfterHeaders ? null : stream.pipe(new PassThrough()),
    },
    ({ statusCode, headers: answered }) => {
      const answer: Record<string, string | string[]> = {};
      for (const name in answered) if (!HOP_BY_HOP.has(name) && name[0] !== ':') answer[name] = answered[name]!;
      if (stream.destroyed) throw new Error('the client is gone');
      stream.respond({ ':status': String(statusCode), ...answer });
      return stream;
    },
    (error) => {
      if (error) stream.destroy(error);
    },
  );
});
server.listen(Number(listen), '127.0.0.1');
