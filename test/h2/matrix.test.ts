/**
 * Interoperability: others' HTTP/2 on both sides of a proxy, over TLS and real sockets. Each client asks through the
 * proxy, which asks an origin of HTTP/2; then each origin stands behind it.
 */
import { spawn as spawnProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Server as GrpcServer,
  Metadata,
  ServerCredentials,
  type ServerWritableStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { httpProxyService } from '../../src/proxy/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import type { HttpPeer } from '../../src/upstreams/peer.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { ToPeer } from '../support/h2-proxy.ts';
import { type Serving, serve } from '../support/service.ts';
import { type Client, clients, grpc } from './matrix-clients.ts';
import {
  type Act,
  bytesOf,
  digestOf,
  h2Peer,
  type MatrixOrigin,
  matrixOrigin,
  PIECE,
  pathOf,
  STAGES,
} from './matrix-origin.ts';

// each transfer of 100 MiB takes seconds where others use the machine, too
vi.setConfig({ testTimeout: 180_000 });

const SIZES = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537];
const LARGE = 100 * 1024 * 1024;

const tls = selfSigned(['localhost']);

type Proxy = Serving & { readonly port: number };

async function startProxy(peer: HttpPeer): Promise<Proxy> {
  const { cert, key } = await tls;
  const settings = TlsSettings.fromPem(cert, key);
  settings.enableH2();
  const service = httpProxyService(ServerConf.new(), new ToPeer(peer));
  service.addTlsWithSettings('127.0.0.1:0', undefined, settings);
  const serving = await serve(service);
  return { ...serving, port: serving.tls };
}

let id = 0;
const at = (stage: number, act: Act) => pathOf(stage, act, id++);
const all = clients();
const DONE = { complete: true, status: 200 };

describe.each(all.map((client) => [client.name, client] as const))('%s as the client', (name, client: Client) => {
  let origin: MatrixOrigin;
  let proxy: Proxy;
  const isGrpc = name === '@grpc/grpc-js';
  /** Two pieces of a body, or two messages. */
  const whole = isGrpc ? Buffer.concat([PIECE.subarray(5), PIECE.subarray(5)]) : Buffer.concat([PIECE, PIECE]);
  const has = (what: Client['lacks'][number]) => client.isHere && !client.lacks.includes(what);

  beforeAll(async () => {
    const { cert, key } = await tls;
    origin = await matrixOrigin({ cert, key });
    proxy = await startProxy(origin.peer());
  });
  afterAll(async () => {
    await client.close?.();
    proxy.shutDown();
    await origin.close();
    await proxy.ended;
  });

  test.runIf(client.isHere).each(SIZES)('a body of %i bytes there and back', async (size) => {
    const body = bytesOf(size);
    const answer = await client.ask({ port: proxy.port, path: '/echo', body });
    expect(answer).toMatchObject({ ...DONE, size });
    if (answer.digest !== undefined) expect(answer.digest).toBe(digestOf(body));
  });

  test.runIf(has('large'))('100 MiB from the origin', async () => {
    const answer = await client.ask({ port: proxy.port, path: `/down/${LARGE}` });
    expect(answer).toMatchObject({ ...DONE, size: LARGE });
    if (answer.digest !== undefined) expect(answer.digest).toBe(digestOf(bytesOf(LARGE)));
  });

  test.runIf(has('large'))('100 MiB to the origin', async () => {
    const body = bytesOf(LARGE);
    const answer = await client.ask({ port: proxy.port, path: '/up', body });
    expect(answer).toMatchObject({ ...DONE, size: 64 });
    // the origin says what it got
    if (answer.digest !== undefined) expect(answer.digest).toBe(digestOf(Buffer.from(digestOf(body))));
  });

  test.runIf(client.isHere && !isGrpc)('trailers after the request and the response', async () => {
    const trailers = has('sends trailers');
    const answer = await client.ask({ port: proxy.port, path: '/trailers', body: Buffer.from('x'), trailers });
    expect(answer).toMatchObject({ ...DONE, size: 4 });
    if (answer.got !== undefined) expect(answer.got).toBe(trailers ? 'there' : 'undefined');
    if (has('shows trailers')) expect(answer.end).toBe('yes');
  });

  test.runIf(client.isHere && !isGrpc)('103 before the response', async () => {
    const answer = await client.ask({ port: proxy.port, path: '/early' });
    expect(answer).toMatchObject({ ...DONE, size: 4 });
    if (has('shows 103')) expect(answer.interims).toEqual([103]);
  });

  test.runIf(has('expects 100'))('100 before the body', async () => {
    const answer = await client.ask({ port: proxy.port, path: '/echo', body: Buffer.from('body'), expect: true });
    expect(answer).toMatchObject({ ...DONE, size: 4, interims: [100] });
  });

  describe.each(STAGES.map((stage, n) => [stage, n] as const))('%s', (_stage, n) => {
    test.runIf(client.isHere)('the origin resets: nothing passes for whole', async () => {
      const { complete, status } = await client.ask({ port: proxy.port, path: at(n, 'reset') });
      if (n === 0 && !isGrpc) expect(status).toBe(502);
      // a head whose reset comes with it is still 502
      else if (has('notices resets')) expect(complete && status === 200).toBe(false);
    });

    test.runIf(client.isHere)('the client gives up: the origin is told', async () => {
      const path = at(n, 'stay');
      const giving = new AbortController();
      const asked = client.ask({ port: proxy.port, path, signal: giving.signal });
      await origin.arrives(path);
      giving.abort();
      await origin.gone(path);
      expect((await asked).complete).toBe(false);
    });

    test.runIf(client.isHere)('the origin says GOAWAY: the response is whole, and so is the next', async () => {
      const path = at(n, 'goaway');
      const asked = client.ask({ port: proxy.port, path });
      await origin.arrives(path);
      const sessions = origin.sessions.length;
      expect(await asked).toMatchObject({ ...DONE, size: whole.length });
      expect(await client.ask({ port: proxy.port, path: '/echo', body: PIECE })).toMatchObject(DONE);
      expect(origin.sessions.length).toBe(sessions + 1);
    });

    test.runIf(has('survives GOAWAY'))(
      'the proxy says GOAWAY: the response is whole, and then the proxy ends',
      async () => {
        const ending = await startProxy(origin.peer());
        const path = at(n, 'hold');
        const asked = client.ask({ port: ending.port, path });
        await origin.arrives(path);
        ending.shutDown();
        await new Promise((resolve) => setImmediate(resolve));
        origin.release(path);
        const answer = await asked;
        expect(answer).toMatchObject({ ...DONE, size: whole.length });
        if (answer.digest !== undefined) expect(answer.digest).toBe(digestOf(whole));
        await ending.ended;
      },
    );
  });
});

describe('@grpc/grpc-js as the origin', () => {
  /** A proxy to a server of gRPC, and a client of it. */
  async function calls(serve: (call: ServerWritableStream<Buffer, Buffer>) => unknown) {
    const { cert, key } = await tls;
    const server = new GrpcServer({ 'grpc.max_receive_message_length': -1 });
    const same = (message: Buffer) => message;
    const method = {
      ...{ path: '/Test/Call', requestStream: false, responseStream: true },
      ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
    };
    server.addService({ Call: method }, { Call: serve as UntypedHandleCall });
    const pair = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }];
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, pair), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const proxy = await startProxy(h2Peer(port));
    const client = grpc();
    onTestFinished(async () => {
      await client.close!();
      server.forceShutdown();
      proxy.shutDown();
      await proxy.ended;
    });
    return {
      server,
      ask: (body: Buffer, signal?: AbortSignal) =>
        client.ask({ port: proxy.port, path: '/Test/Call', body, ...(signal && { signal }) }),
    };
  }

  test('messages of all sizes there and back', async () => {
    const { ask } = await calls((call) => {
      call.write(call.request);
      call.end();
    });
    for (const size of SIZES) {
      const body = bytesOf(size);
      expect(await ask(body)).toMatchObject({ ...DONE, digest: digestOf(body) });
    }
  });

  /** Goes as far as `stage`, where `act` says whether to go on. */
  const upTo = (stage: number, act: () => boolean) => (call: ServerWritableStream<Buffer, Buffer>) => {
    for (let n = 0; n < STAGES.length; n++) {
      if (n === stage && !act()) return;
      if (n === 0) call.sendMetadata(new Metadata());
      else if (n < 3) call.write(Buffer.from('hello'));
    }
    call.end();
  };

  describe.each(STAGES.map((stage, n) => [stage, n] as const))('%s', (_stage, n) => {
    test('the client cancels: the origin is told', async () => {
      const giving = new AbortController();
      let cancelled = () => {};
      const told = new Promise<void>((resolve) => {
        cancelled = resolve;
      });
      const { ask } = await calls((call) => {
        call.on('cancelled', cancelled);
        upTo(n, () => {
          giving.abort();
          return false;
        })(call);
      });
      expect((await ask(Buffer.from('x'), giving.signal)).complete).toBe(false);
      await told;
    });

    test('the origin shuts down in good order: the call is whole', async () => {
      const { ask, server } = await calls((call) =>
        upTo(n, () => {
          server.tryShutdown(() => {});
          return true;
        })(call),
      );
      expect(await ask(Buffer.from('x'))).toMatchObject({ ...DONE, size: 10 });
    });
  });
});

describe('nginx as the origin', () => {
  const nginx = ['nginx', '/usr/sbin/nginx'].find((program) => spawnSync(program, ['-v']).error === undefined);

  test.runIf(nginx !== undefined)('bodies of all sizes from it and to it, with a GOAWAY after five each', async () => {
    const { cert, key } = await tls;
    const folder = mkdtempSync(join(tmpdir(), 'matrix-nginx-'));
    const path = (name: string) => join(folder, name);
    writeFileSync(path('cert.pem'), cert);
    writeFileSync(path('key.pem'), key);
    for (const size of SIZES) writeFileSync(path(String(size)), bytesOf(size));
    const port = await freePort();
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder};`,
    );
    writeFileSync(
      path('nginx.conf'),
      `daemon off; master_process off; error_log stderr crit; pid ${path('pid')};
events {}
http {
  access_log off; client_max_body_size 0; keepalive_requests 5; ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port} ssl http2; ssl_certificate ${path('cert.pem')}; ssl_certificate_key ${path('key.pem')};
    root ${folder};
    location /up { return 200 "taken"; }
  }
}
`,
    );
    const child = spawnProcess(nginx!, ['-c', path('nginx.conf'), '-p', folder], { stdio: 'ignore' });
    const [client] = clients();
    const proxy = await startProxy(h2Peer(port));
    onTestFinished(async () => {
      await client!.close!();
      proxy.shutDown();
      await proxy.ended;
      child.kill();
      await once(child, 'close');
      rmSync(folder, { recursive: true, force: true });
    });
    await listens(port);
    for (const size of SIZES) {
      const body = bytesOf(size);
      const down = await client!.ask({ port: proxy.port, path: `/${size}` });
      expect(down).toMatchObject({ ...DONE, digest: digestOf(body) });
      expect(await client!.ask({ port: proxy.port, path: '/up', body })).toMatchObject({ ...DONE, size: 5 });
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Once somebody accepts connections at `port`. */
async function listens(port: number): Promise<void> {
  const accepted = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => resolve(false));
      socket.on('connect', () => {
        socket.destroy();
        resolve(true);
      });
    });
  await expect.poll(accepted, { timeout: 30_000 }).toBe(true);
}

test('at least the libraries were there', () => {
  expect(all.filter(({ isHere }) => isHere).length).toBeGreaterThanOrEqual(3);
});
