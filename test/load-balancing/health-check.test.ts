import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Connector } from '../../src/connectors/http/mod.ts';
import { ConnectorOptions, TransportConnector } from '../../src/connectors/mod.ts';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import { Static } from '../../src/load-balancing/discovery.ts';
import { Health, HttpHealthCheck, TcpHealthCheck } from '../../src/load-balancing/health-check.ts';
import { Backend, Backends, LoadBalancer } from '../../src/load-balancing/lib.ts';
import { RoundRobin } from '../../src/load-balancing/selection/mod.ts';
import { SocketAddr } from '../../src/protocols/l4/socket.ts';
import { Watch } from '../../src/runtime/sync.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import {
  atEnd,
  blackhole,
  closedPort,
  makeCa,
  makeCert,
  socketPath,
  tcpOrigin,
  tlsOrigin,
} from '../connectors/origins.ts';
import { captureLog } from '../support/log.ts';

async function failure(attempt: Promise<unknown>): Promise<PingoraError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PingoraError);
  return error as PingoraError;
}

/** Once a connection is closed, by a reset or in peace. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => (socket.destroyed ? resolve() : socket.resume().on('close', () => resolve())));
}

interface Origin {
  readonly backend: Backend;
  readonly requests: IncomingMessage[];
  readonly sockets: Socket[];
}

async function listen(server: Server, answer: RequestListener): Promise<Origin> {
  const requests: IncomingMessage[] = [];
  const sockets: Socket[] = [];
  server.on('connection', (socket: Socket) => sockets.push(socket.on('error', () => {})));
  server.on('request', (request: IncomingMessage, response) => {
    requests.push(request);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { backend: Backend.new(`127.0.0.1:${(server.address() as AddressInfo).port}`), requests, sockets };
}

const httpOrigin = (answer: RequestListener) => listen(createServer(), answer);
const ok: RequestListener = (_request, response) => response.end('fine');

/** A server that sends `bytes` to whoever connects, whatever they say. */
async function rawOrigin(...pieces: string[]) {
  const origin = await tcpOrigin();
  origin.server.on('connection', (socket: Socket) => {
    socket.once('data', () => {
      for (const piece of pieces) socket.write(piece);
    });
  });
  return { ...origin, backend: Backend.new(origin.address) };
}

describe('Health', () => {
  it('is ready at first, and while it is both healthy and enabled', () => {
    const health = new Health();
    expect(health.ready()).toBe(true);
    health.enable(false);
    expect(health.ready()).toBe(false);
    health.enable(true);
    expect(health.ready()).toBe(true);
    health.observeHealth(false, 1);
    expect(health.ready()).toBe(false);
    health.enable(true);
    expect(health.ready()).toBe(false);
  });

  it('turns over only after enough results in a row, either way', () => {
    const health = new Health();
    const observe = (healthy: boolean, threshold: number) => [health.observeHealth(healthy, threshold), health.ready()];
    expect(observe(false, 3)).toEqual([false, true]);
    expect(observe(false, 3)).toEqual([false, true]);
    // a good one in between: the count begins anew
    expect(observe(true, 2)).toEqual([false, true]);
    expect(observe(false, 3)).toEqual([false, true]);
    expect(observe(false, 3)).toEqual([false, true]);
    expect(observe(false, 3)).toEqual([true, false]);
    expect(observe(false, 3)).toEqual([false, false]);
    expect(observe(true, 2)).toEqual([false, false]);
    expect(observe(false, 3)).toEqual([false, false]);
    expect(observe(true, 2)).toEqual([false, false]);
    expect(observe(true, 2)).toEqual([true, true]);
  });

  it('has copies that go their own way', () => {
    const health = new Health();
    health.observeHealth(false, 2);
    const copy = health.clone();
    expect(copy.observeHealth(false, 2)).toBe(true);
    expect([health.ready(), copy.ready()]).toEqual([true, false]);
  });
});

describe('TcpHealthCheck', () => {
  it('passes where a connection can be opened, and closes it', async () => {
    const origin = await tcpOrigin();
    await TcpHealthCheck.new().check(Backend.new(origin.address));
    await closed(await origin.accepted());
  });

  it('passes on a Unix domain socket', async () => {
    const path = socketPath();
    await tcpOrigin(path);
    await TcpHealthCheck.new().check(new Backend(SocketAddr.unix(path)));
  });

  it('fails where nobody listens', async () => {
    const error = await failure(TcpHealthCheck.new().check(Backend.new(`127.0.0.1:${await closedPort()}`)));
    expect(error.etype()).toBe(ErrorType.ConnectRefused);
  });

  it('fails where connecting takes longer than the template allows', async () => {
    const check = TcpHealthCheck.new();
    expect(check.peerTemplate.options.connectionTimeout).toBe(1000);
    check.peerTemplate.options.connectionTimeout = 20;
    const error = await failure(check.check(Backend.new(`127.0.0.1:${await blackhole()}`)));
    expect(error.etype()).toBe(ErrorType.ConnectTimedout);
  });

  it('makes a TLS handshake and verifies the certificate if it has a name', async () => {
    const ca = await makeCa('check CA');
    const origin = await tlsOrigin(await makeCert(ca, 'backend.test'));
    const caFile = join(dirname(socketPath()), 'ca.pem');
    writeFileSync(caFile, ca.cert);
    const options = ConnectorOptions.new(1);
    options.caFile = caFile;
    const check = TcpHealthCheck.newTls('backend.test');
    expect((await failure(check.check(Backend.new(origin.address)))).etype()).toBe(ErrorType.InvalidCert);
    check.setConnector(TransportConnector.new(options));
    await check.check(Backend.new(origin.address));
    check.peerTemplate.serverName = 'other.test';
    expect((await failure(check.check(Backend.new(origin.address)))).etype()).toBe(ErrorType.InvalidCert);
  });
});

describe('HttpHealthCheck', () => {
  it('asks for / of the host and passes for a 200', async () => {
    const origin = await httpOrigin(ok);
    await HttpHealthCheck.new('backend.test', false).check(origin.backend);
    const [request] = origin.requests;
    expect([request?.method, request?.url, request?.headers]).toEqual(['GET', '/', { host: 'backend.test' }]);
  });

  it('fails for any other status', async () => {
    const origin = await httpOrigin((_request, response) => response.writeHead(204).end());
    const error = await failure(HttpHealthCheck.new('backend.test', false).check(origin.backend));
    expect([error.etype().name, error.etype().code, error.context]).toEqual([
      'non 200 code',
      204,
      'during http healthcheck',
    ]);
  });

  it('lets the validator decide instead', async () => {
    const origin = await httpOrigin((_request, response) => response.writeHead(301).end());
    const check = HttpHealthCheck.new('backend.test', false);
    check.validator = (response) => {
      if (response.status !== 301) throw PingoraError.explain(ErrorType.newCode('non 301 code', response.status), 'x');
    };
    await check.check(origin.backend);
    check.validator = () => {
      throw PingoraError.newStr('never good enough');
    };
    expect((await failure(check.check(origin.backend))).etype().name).toBe('never good enough');
  });

  it('sends the request that it is given, time after time', async () => {
    const origin = await httpOrigin(ok);
    const check = HttpHealthCheck.new('backend.test', false);
    check.req.setMethod('OPTIONS');
    check.req.setUri('/health?deep=1');
    await check.check(origin.backend);
    await check.check(origin.backend);
    expect(origin.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(
      Array(2).fill('OPTIONS /health?deep=1'),
    );
  });

  it('waits for the answer that follows informational ones, which Pingora takes for the answer', async () => {
    const origin = await rawOrigin(
      'HTTP/1.1 103 Early Hints\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    );
    await HttpHealthCheck.new('backend.test', false).check(origin.backend);
  });

  it('fails for what isn’t HTTP, and for a response that breaks off', async () => {
    const check = HttpHealthCheck.new('backend.test', false);
    const garbage = await rawOrigin('SSH-2.0-OpenSSH_9.6\r\n\r\n');
    expect((await failure(check.check(garbage.backend))).etype()).toBe(ErrorType.InvalidHTTPHeader);
    const short = await tcpOrigin();
    short.server.on('connection', (socket: Socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi'));
    });
    await failure(check.check(Backend.new(short.address)));
  });

  it('fails when no answer comes in time, and closes the connection', async () => {
    const origin = await tcpOrigin();
    const check = HttpHealthCheck.new('backend.test', false);
    expect(check.peerTemplate.options.readTimeout).toBe(1000);
    check.peerTemplate.options.readTimeout = 20;
    const error = await failure(check.check(Backend.new(origin.address)));
    expect(error.etype()).toBe(ErrorType.ReadTimedout);
    await closed(await origin.accepted());
  });

  it('isn’t held up by a body that never ends: it passes, and the connection is closed', async () => {
    const origin = await httpOrigin((_request, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const more = () => {
        while (response.write(chunk));
      };
      response.on('drain', more).on('error', () => {});
      more();
    });
    const check = HttpHealthCheck.new('backend.test', false);
    check.reuseConnection = true;
    await check.check(origin.backend);
    await closed(origin.sockets[0]!);
  });

  it('makes a connection a check, closed afterwards', async () => {
    const origin = await httpOrigin(ok);
    const check = HttpHealthCheck.new('backend.test', false);
    await check.check(origin.backend);
    await check.check(origin.backend);
    expect(origin.sockets).toHaveLength(2);
    await Promise.all(origin.sockets.map(closed));
  });

  it('uses one connection for several checks if told so, which Pingora means to do', async () => {
    const origin = await httpOrigin(ok);
    const check = HttpHealthCheck.new('backend.test', false);
    const connector = Connector.new();
    atEnd(() => connector.close());
    check.setConnector(connector);
    check.reuseConnection = true;
    for (let i = 0; i < 3; i++) await check.check(origin.backend);
    expect([origin.requests.length, origin.sockets.length]).toEqual([3, 1]);
  });

  it('checks another port if told so', async () => {
    const origin = await httpOrigin(ok);
    const check = HttpHealthCheck.new('backend.test', false);
    check.portOverride = origin.backend.addr.port;
    await check.check(Backend.new(`127.0.0.1:${await closedPort()}`));
    expect(origin.requests).toHaveLength(1);
  });

  it('speaks HTTPS and verifies the certificate', async () => {
    const ca = await makeCa('check CA');
    const origin = await listen(createHttpsServer(await makeCert(ca, 'backend.test')), ok);
    const caFile = join(dirname(socketPath()), 'ca.pem');
    writeFileSync(caFile, ca.cert);
    const options = ConnectorOptions.new(1);
    options.caFile = caFile;
    const check = HttpHealthCheck.new('backend.test', true);
    expect((await failure(check.check(origin.backend))).etype()).toBe(ErrorType.InvalidCert);
    check.setConnector(Connector.new(options));
    await check.check(origin.backend);
    expect(origin.requests).toHaveLength(1);
  });

  it('judges the thresholds by its two settings', () => {
    for (const check of [TcpHealthCheck.new(), HttpHealthCheck.new('backend.test', false)]) {
      expect([check.healthThreshold(true), check.healthThreshold(false)]).toEqual([1, 1]);
      check.consecutiveSuccess = 2;
      check.consecutiveFailure = 3;
      expect([check.healthThreshold(true), check.healthThreshold(false)]).toEqual([2, 3]);
    }
  });
});

/** A backend that comes and goes on one port. */
async function flapping() {
  const port = await closedPort();
  let server: Server | undefined;
  const up = async () => {
    server = createTcpServer((socket) => socket.on('error', () => {}).resume()).listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const down = async () => {
    const closing = server;
    server = undefined;
    if (closing !== undefined) await new Promise<void>((resolve) => closing.close(() => resolve()));
  };
  atEnd(down);
  return { address: `127.0.0.1:${port}`, backend: Backend.new(`127.0.0.1:${port}`), up, down };
}

describe('health checks of real backends', () => {
  it.each([false, true])('follow a backend that goes and comes back (parallel: %s)', async (parallel) => {
    const log = captureLog('info');
    const steady = await tcpOrigin();
    const other = await flapping();
    const balancer = await LoadBalancer.tryFromIter([steady.address, other.address], RoundRobin);
    const backends = balancer.backends();
    const check = TcpHealthCheck.new();
    check.consecutiveFailure = 2;
    balancer.setHealthCheck(check);
    const round = async () => {
      await backends.runHealthCheck(parallel);
      return [backends.ready(Backend.new(steady.address)), backends.ready(other.backend)];
    };

    await other.up();
    expect(await round()).toEqual([true, true]);
    await other.down();
    expect(await round()).toEqual([true, true]);
    expect(await round()).toEqual([true, false]);
    expect(new Set(Array.from({ length: 4 }, () => String(balancer.select('', 16))))).toEqual(
      new Set([steady.address]),
    );
    await other.up();
    expect(await round()).toEqual([true, true]);

    const said = log.filter(({ target }) => target === 'pingora_load_balancing').map(({ msg }) => msg);
    const name = `Backend { addr: Inet(${other.address}), weight: 1 }`;
    expect(said).toHaveLength(2);
    expect(said[0]).toMatch(`${name} becomes unhealthy, `);
    expect(said[0]).toContain('ConnectRefused');
    expect(said[1]).toBe(`${name} becomes healthy`);
  });

  it('make the calls that Pingora makes, in the background service', async () => {
    const origin = await tcpOrigin();
    const backends = Backends.new(Static.new([Backend.new(origin.address)]));
    const balancer = LoadBalancer.fromBackends(backends, RoundRobin);
    balancer.setHealthCheck(TcpHealthCheck.new());
    const recorder = new Recorder().attach();
    try {
      await recorder.root('main', () => balancer.start(new Watch(false).subscribe()));
    } finally {
      recorder.detach();
    }
    const ancestry = recorder.spans.map((span) => {
      const names: string[] = [];
      for (let at: typeof span | null = span; at !== null; at = at.parent) names.unshift(at.site.fn);
      return names.join(' > ');
    });
    const start = '<LoadBalancer as BackgroundService>::start';
    const report = `${start} > Backends::run_health_check > run_health_check::check_and_report`;
    const check = `${report} > <TcpHealthCheck as HealthCheck>::check > TransportConnector::get_stream`;
    const inner = `${check} > TransportConnector::new_stream > connectors::do_connect > connectors::do_connect_inner`;
    for (const path of [
      `${start} > LoadBalancer::update > Backends::update > <Static as ServiceDiscovery>::discover`,
      `${check} > TransportConnector::reused_stream > ConnectionPool::get`,
      `${check} > TransportConnector::new_stream > PreferredHttpVersion::get`,
      `${inner} > l4::connect > ext::connect`,
      `${report} > <TcpHealthCheck as HealthCheck>::health_threshold`,
      `${report} > Health::observe_health`,
    ]) {
      expect(ancestry).toContain(path);
    }
  });
});
