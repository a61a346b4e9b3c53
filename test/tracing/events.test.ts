import { describe, expect, test } from 'vitest';
import { EventLog, type EventOptions, masked } from '../../src/tracing/events.ts';
import { exportTrace } from '../../src/tracing/export.ts';
import type { TraceEvent } from '../../src/tracing/model.ts';
import { type Observed, observer } from '../../src/tracing/observer.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import { own } from '../../src/tracing/span.ts';

const client: Observed = { wire: 7, side: 'downstream', peerAddress: { ip: '127.0.0.1', port: 9 } };

function logWith(options: EventOptions = {}): EventLog {
  let now = 0;
  return new EventLog(() => ++now, options);
}

const bytesOf = ({ events }: EventLog) =>
  events.map((event) => event.kind === 'bytes' && [event.way, event.offset, event.length, event.bytes]);

describe('bytes in a trace', () => {
  test('say where they are on their connection, each way for itself', () => {
    const log = logWith();
    log.bytes(1, client, 'in', Buffer.from('GET / HTTP/1.1\r\n\r\nrest'), 18);
    log.bytes(1, client, 'out', 'HTTP/1.1 200 OK\r\n\r\n', 19);
    log.bytes(2, client, 'out', Buffer.from([0xff, 0]), 2);
    expect(bytesOf(log)).toEqual([
      ['in', 0, 18, 'GET / HTTP/1.1\r\n\r\n'],
      ['out', 0, 19, 'HTTP/1.1 200 OK\r\n\r\n'],
      ['out', 19, 2, '\u00ff\0'],
    ]);
    expect(log.connections).toEqual([{ id: 1, side: 'downstream', peer: '127.0.0.1:9' }]);
  });

  test('are of one connection, below TLS and above', () => {
    const log = logWith();
    expect(log.connection(client)).toBe(1);
    expect(log.connection({ ...client, wire: 8 })).toBe(2);
    expect(log.connection({ ...client })).toBe(1);
  });

  test('are kept up to a limit, and the trace says how many were not', () => {
    const log = logWith({ bytes: 4 });
    log.bytes(1, client, 'in', 'abc', 3);
    log.bytes(1, client, 'in', 'defg', 4);
    log.bytes(1, client, 'in', 'h', 1);
    log.bytes(1, client, 'out', 'i', 1);
    expect(bytesOf(log)).toEqual([
      ['in', 0, 3, 'abc'],
      ['in', 3, 4, 'd'],
      ['in', 7, 1, undefined],
      ['out', 0, 1, 'i'],
    ]);
    expect(log.cut).toEqual({ events: 0, bytes: 4 });
  });

  test('have stars for secrets, as many as these have letters', () => {
    expect(masked('GET / HTTP/1.1\r\nAuthorization: Basic YTpi\r\ncookie:a=b\r\nAccept: cookie: x\r\n\r\n')).toBe(
      'GET / HTTP/1.1\r\nAuthorization: **********\r\ncookie:***\r\nAccept: cookie: x\r\n\r\n',
    );
    const open = logWith({ secrets: true });
    open.bytes(1, client, 'in', 'Cookie: a\r\n', 11);
    expect(bytesOf(open)).toEqual([['in', 0, 11, 'Cookie: a\r\n']]);
  });

  test('of HTTP/2 are counted only: a secret that is packed can’t be masked', () => {
    const log = logWith();
    log.bytes(1, client, 'in', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 24);
    log.bytes(1, client, 'out', '\0\0\0\x04\0\0\0\0\0', 9);
    expect(bytesOf(log)).toEqual([
      ['in', 0, 24, undefined],
      ['out', 0, 9, undefined],
    ]);
    expect(log.cut.bytes).toBe(0);
  });
});

test('a trace keeps so many events, and says how many there were more', () => {
  const log = logWith({ events: 1 });
  const machine = {};
  log.state(1, machine, 'response', 'Reading');
  log.state(1, machine, 'response', 'Reading');
  log.state(1, machine, 'response', 'Done');
  expect(log.events).toMatchObject([{ kind: 'state', machine: 'response', from: null, to: 'Reading' }]);
  expect(log.cut.events).toBe(1);
});

describe('what is told', () => {
  test('is an event of the span that runs, in the trace of its recorder', () => {
    const work = own.fn('work', () => {
      observer.wrote(client, 'hello');
      observer.channel('request', 'send', 1, 4);
      observer.frame(client, 'out', 'HEADERS', 1, 5, 12, () => ({ ':method': 'GET' }));
    });
    const recorder = new Recorder({ events: {} }).attach();
    recorder.root('main', work);
    recorder.detach();
    const { events, connections } = exportTrace(recorder, 'made');
    const at = { span: 1, time: expect.any(Number) };
    expect(events).toEqual<TraceEvent[]>([
      { ...at, kind: 'bytes', connection: 1, way: 'out', offset: 0, length: 5, bytes: 'hello' },
      { ...at, kind: 'channel', channel: 'request', what: 'send', depth: 1, capacity: 4 },
      {
        ...at,
        kind: 'frame',
        connection: 1,
        way: 'out',
        type: 'HEADERS',
        stream: 1,
        flags: ['END_STREAM', 'END_HEADERS'],
        length: 12,
        facts: { ':method': 'GET' },
      },
    ]);
    expect(connections).toHaveLength(1);
  });

  test('is heard by nobody once the recorder is gone, nor outside of its root', () => {
    const recorder = new Recorder({ events: {} }).attach();
    observer.wrote(client, 'outside');
    recorder.detach();
    observer.wrote(client, 'after');
    expect(exportTrace(recorder, 'made').events).toBeUndefined();
    expect(observer.wrote.toString()).toBe(observer.read.toString());
  });

  test('wakes tasks: who waited for bytes says on which connection', async () => {
    let come = () => {};
    const wait = own.fn('wait', async () => {
      await new Promise<void>((resolve) => (come = resolve));
    });
    const recorder = new Recorder({ runs: true, events: {} }).attach();
    const done = recorder.root('main', wait);
    await new Promise((resolve) => setTimeout(resolve, 5));
    observer.arrived(client, false);
    come();
    await done;
    await new Promise((resolve) => setImmediate(resolve));
    recorder.detach();
    const wakes = (exportTrace(recorder, 'made').events ?? []).filter(({ kind }) => kind === 'wake');
    expect(wakes).toMatchObject([{ span: 1, task: 1, by: 'bytes on connection 1' }]);
  });
});
