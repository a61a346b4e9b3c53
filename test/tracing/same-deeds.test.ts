/**
 * What a trace shows is what runs: each exchange is run without a recorder and with one, and what was done to the
 * proxy's sockets, the deadlines that were set and the tasks that were polled are the same.
 */
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Recorder } from '../../src/tracing/recorder.ts';
import { values } from '../../src/values/mod.ts';
import { watchDeeds } from '../support/deeds.ts';
import { captureLog } from '../support/log.ts';
import { Origin } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';
import { turn } from '../support/streams.ts';
import { type Exchange, http1 } from './exchanges.ts';
import { http2 } from './h2-exchanges.ts';

/** What was done, in order, to each of the proxy's sockets, and beside them. */
interface Deeds {
  readonly sockets: ReadonlyMap<Socket, string[]>;
  deadlines: number;
  readonly tasks: Set<unknown>;
}

let deeds: Deeds;
let unwatch: () => void;

/** Which side of the proxy a socket is on; undefined: it is the client's or the origin's own. */
let sideOf: (socket: Socket) => string | undefined;
let sides = new WeakMap<Socket, string | undefined>();

function log(socket: Socket, deed: string): void {
  // another one has taken its connection over
  if ((socket as { _handle?: object | null })._handle == null) return;
  // once closed it doesn't know where it was
  const side = sides.get(socket) ?? sideOf(socket);
  if (side === undefined) return;
  sides.set(socket, side);
  const sockets = deeds.sockets as Map<Socket, string[]>;
  const list = sockets.get(socket) ?? [side];
  sockets.set(socket, list);
  list.push(deed);
}

beforeEach(() => {
  captureLog('silent');
  // a Date field is part of what is written, and compressed in HTTP/2
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 0, 1) });
  unwatch = watchDeeds({
    socket: (socket, what, bytes) => log(socket, what === 'write' ? `write ${bytes}` : what),
    deadline: () => {
      deeds.deadlines++;
    },
    task: (task) => void deeds.tasks.add(task),
  });
});

afterEach(() => {
  vi.useRealTimers();
  unwatch();
});

async function deedsOf({ answer, run }: Exchange, recorder?: Recorder) {
  deeds = { sockets: new Map(), deadlines: 0, tasks: new Set() };
  sides = new WeakMap();
  const origin = await Origin.start(answer);
  const start = () => startProxy(new ToOrigin(`127.0.0.1:${origin.port}`), { h2: { h2c: true } });
  recorder?.attach();
  const proxy = await (recorder === undefined ? start() : recorder.root('main', start));
  sideOf = ({ localPort, remotePort }) =>
    localPort === proxy.port ? 'client' : remotePort === origin.port ? 'origin' : undefined;
  await run({ proxy, origin });
  for (let i = 0; i < 20; i++) await turn();
  // connections that are kept for the next request end here, and the tasks that watch them
  for (const { socket } of origin.connections) socket.destroy();
  for (let i = 0; i < 20; i++) await turn();
  recorder?.detach();
  const masked = (deed: string) => deed.replaceAll(String(proxy.port), 'P').replaceAll(String(origin.port), 'O');
  return {
    sockets: [...deeds.sockets.values()].map((list) => list.map(masked)),
    deadlines: deeds.deadlines,
    tasks: deeds.tasks.size,
  };
}

describe('a recorder changes nothing of what is done', () => {
  test.each([...http1, ...http2])('in $name', async (exchange) => {
    const untraced = await deedsOf(exchange);
    const recorder = new Recorder({ runs: true, values: values(), events: {} });
    const traced = await deedsOf(exchange, recorder);
    expect(traced).toEqual(untraced);
    expect(untraced.sockets.length).toBeGreaterThan(0);
    expect(untraced.tasks).toBeGreaterThan(0);
    expect(recorder.spans.length).toBeGreaterThan(10);
  });
});
