/** A proxy service of this process, and raw clients for it. */
import { connect } from 'node:net';
import { onTestFinished } from 'vitest';
import { httpProxyService, type ProxyExtras, ProxyHttp, type Session } from '../../src/proxy/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { serveInTest } from './service.ts';
import { Peer } from './streams.ts';

/** Everything goes to one place. */
export class ToOrigin extends ProxyHttp<undefined> {
  readonly #address: string;

  constructor(address: string) {
    super();
    this.#address = address;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(_session: Session): HttpPeer {
    return HttpPeer.new(this.#address, false, '');
  }
}

export interface RunningProxy {
  readonly port: number;
  /** A client's connection, closed when the test ends. */
  client(): Promise<Peer>;
}

/** Run a proxy of `app` until the test ends. */
export async function startProxy<CTX>(app: ProxyHttp<CTX>, options?: ProxyExtras): Promise<RunningProxy> {
  const service = httpProxyService(ServerConf.new(), app, options);
  service.addTcp('127.0.0.1:0');
  const { plain: port } = await serveInTest(service);
  return {
    port,
    client: () => clientOf(port),
  };
}

/** A client's connection to a port of this machine, closed when the test ends. */
export async function clientOf(port: number): Promise<Peer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  onTestFinished(() => {
    socket.destroy();
  });
  return new Peer(socket);
}
