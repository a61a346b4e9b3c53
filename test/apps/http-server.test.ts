import { request } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { HttpServer, intoServerApp, type Response, ServeHttp } from '../../src/apps/http-app.ts';
import type { HttpServerApp } from '../../src/apps/mod.ts';
import { PrometheusServer, setRegistry } from '../../src/apps/prometheus-http-app.ts';
import { ResponseHeader } from '../../src/http/lib.ts';
import { ResponseCompressionBuilder } from '../../src/modules/http/compression.ts';
import { Stream } from '../../src/protocols/l4/stream.ts';
import { Watch } from '../../src/runtime/sync.ts';
import { promised } from '../../src/runtime/task.ts';
import { Service } from '../../src/services/listening.ts';

let server: Server | undefined;
afterEach(() => new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve())));

async function serve(app: HttpServerApp): Promise<number> {
  const shutdown = new Watch(false).subscribe();
  const listening = createServer({ pauseOnConnect: true }, (socket) => {
    promised(Service.handleEvent(new Stream(socket), intoServerApp(app), shutdown)).catch(() => socket.destroy());
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return (listening.address() as AddressInfo).port;
}

interface Got {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

function get(port: number, headers: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const req = request({ port, host: '127.0.0.1', headers, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }),
      );
    });
    req.on('error', reject);
    req.end();
  });
}

class Says extends ServeHttp {
  readonly #body: string;
  constructor(body: string) {
    super();
    this.#body = body;
  }
  response(): Response {
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Type', 'text/plain');
    head.insertHeader('Content-Length', this.#body.length);
    return { head, body: Buffer.from(this.#body) };
  }
}

test('a response passes the modules, and is compressed only for those who accept it', async () => {
  const text = 'over and over again '.repeat(50);
  const app = HttpServer.newApp(new Says(text));
  app.addModule(ResponseCompressionBuilder.enable(6));
  const port = await serve(app);
  const packed = await get(port, { 'accept-encoding': 'gzip' });
  expect(packed.headers['content-encoding']).toBe('gzip');
  expect(gunzipSync(packed.body).toString()).toBe(text);
  const plain = await get(port);
  expect(plain.headers['content-encoding']).toBeUndefined();
  expect(plain.body.toString()).toBe(text);
});

test('a module that refuses a request ends its connection, and only that', async () => {
  const app = HttpServer.newApp(new Says('hello'));
  app.addModule({
    init: () => ({
      requestHeaderFilter(req) {
        if (req.headers.has('bad')) throw new Error('refused');
      },
    }),
  });
  const port = await serve(app);
  await expect(get(port, { bad: '1' })).rejects.toThrow();
  expect((await get(port)).body.toString()).toBe('hello');
});

test('Prometheus gets what the registry says, compressed', async () => {
  const metrics = 'requests_total 1\n'.repeat(100);
  setRegistry({ contentType: 'text/plain; version=0.0.4', metrics: async () => metrics });
  const port = await serve(PrometheusServer.new());
  const got = await get(port, { 'accept-encoding': 'gzip' });
  expect([got.status, got.headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4']);
  expect(gunzipSync(got.body).toString()).toBe(metrics);
  setRegistry({ contentType: 'text/plain', metrics: async () => '' });
  const empty = await get(port);
  expect([empty.status, empty.headers['content-length'], empty.body.length]).toEqual([200, '0', 0]);
});
