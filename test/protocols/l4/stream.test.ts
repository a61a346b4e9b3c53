import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Stream } from '../../../src/protocols/l4/stream.ts';
import { workDone } from '../../../src/runtime/lib.ts';
import { PENDING } from '../../../src/runtime/poll.ts';
import { polled } from '../../../src/runtime/task.ts';
import { Elapsed } from '../../../src/timeout/lib.ts';
import { fakeClock } from '../../support/clock.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

/** A stream, and what its peer gets. */
async function pair() {
  const server = createServer().listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = await arrived;
  let got = '';
  client.on('data', (bytes) => {
    got += bytes.toString('latin1');
  });
  const stream = new Stream(socket);
  const everything = async () => {
    await once(client, 'end');
    return got;
  };
  return { stream, socket, client, everything };
}

/** How often `socket` is written to. */
function counted(socket: Socket): () => number {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let writes = 0;
  socket.write = ((...args: unknown[]) => {
    writes++;
    return write(...args);
  }) as typeof socket.write;
  return () => writes;
}

/** It has room: nothing is to be waited for. */
const atOnce = (done: void | Promise<void>) => expect(done).toBeUndefined();
const endOfTurn = () => new Promise((resolve) => setImmediate(resolve));

describe('what a stream writes', () => {
  it('leaves in one piece at the end of the turn in which it was flushed', async () => {
    const { stream, socket, everything } = await pair();
    const writes = counted(socket);
    atOnce(stream.write('one '));
    atOnce(stream.flush());
    atOnce(stream.write('two '));
    atOnce(stream.flush());
    expect(writes()).toBe(0);
    await endOfTurn();
    expect(writes()).toBe(1);
    atOnce(stream.write('three'));
    atOnce(stream.flush());
    await endOfTurn();
    expect(writes()).toBe(2);
    stream.shutdown();
    expect(await everything()).toBe('one two three');
  });

  it('keeps its order when something larger follows in the same turn', async () => {
    const { stream, everything } = await pair();
    const large = Buffer.alloc(100_000, 'b');
    atOnce(stream.write('head '));
    atOnce(stream.flush());
    await stream.write(large);
    atOnce(stream.write(' tail'));
    atOnce(stream.flush());
    await endOfTurn();
    stream.shutdown();
    expect(await everything()).toBe(`head ${large} tail`);
  });

  it('is not gathered without end in one turn', async () => {
    const { stream, socket, everything } = await pair();
    const writes = counted(socket);
    const piece = Buffer.alloc(4096, 'p');
    for (let i = 0; i < 16; i++) {
      await stream.write(piece);
      await stream.flush();
    }
    expect(writes()).toBeGreaterThan(1);
    stream.shutdown();
    expect(await everything()).toHaveLength(16 * 4096);
  });

  it('leaves in one write when it is held until then, and only then is the peer waited for', async () => {
    const { stream, socket, client, everything } = await pair();
    client.pause();
    let writes = 0;
    // what Node calls for several pieces at once
    const writev = socket._writev!.bind(socket);
    socket._writev = (...args: Parameters<typeof writev>) => {
      writes++;
      writev(...args);
    };
    stream.hold();
    stream.write(Buffer.alloc(4 << 20, 'a'));
    expect(stream.pollDrained()).toBeUndefined();
    stream.write(Buffer.alloc(4 << 20, 'b'));
    expect([writes, socket.bytesWritten - socket.writableLength]).toEqual([0, 0]);
    stream.release();
    expect([writes, stream.pollDrained()]).toEqual([1, PENDING]);
    client.resume();
    await polled(() => stream.pollDrained());
    stream.shutdown();
    expect(await everything()).toHaveLength(8 << 20);
  });

  it.each(['shutdown', 'destroy'] as const)('is sent before %s, though it was held', async (end) => {
    const { stream, everything } = await pair();
    stream.hold();
    stream.write(Buffer.alloc(5000, 'a'));
    stream[end]();
    expect(await everything()).toHaveLength(5000);
  });

  it('is work to be done until the connection that was shut down is closed', async () => {
    const { stream, client } = await pair();
    client.allowHalfOpen = true;
    client.on('end', () => {});
    let closed = false;
    stream.socket.once('close', () => {
      closed = true;
    });
    stream.shutdown();
    const work = workDone(0).then(() => expect(closed).toBe(true));
    await endOfTurn();
    client.end();
    await work;
  });

  it.each(['shutdown', 'destroy'] as const)('is sent before %s in the same turn', async (end) => {
    const { stream, everything } = await pair();
    atOnce(stream.write('the last answer'));
    atOnce(stream.flush());
    stream[end]();
    expect(await everything()).toBe('the last answer');
  });

  it('goes nowhere, and harms nobody, when the connection breaks before the turn ends', async () => {
    const one = await pair();
    const other = await pair();
    atOnce(one.stream.write('lost'));
    atOnce(one.stream.flush());
    atOnce(other.stream.write('arrives'));
    atOnce(other.stream.flush());
    one.socket.destroy();
    await endOfTurn();
    other.stream.shutdown();
    expect(await other.everything()).toBe('arrives');
    expect(() => {
      atOnce(one.stream.write('more'));
      return one.stream.flush();
    }).toThrow('the connection is closed');
  });

  it('waits for a peer that does not read', async () => {
    const { stream, client, everything } = await pair();
    client.pause();
    const large = Buffer.alloc(8 << 20, 'x');
    stream.write(large);
    expect(stream.pollDrained()).toBe(PENDING);
    stream.write('and then');
    stream.flush();
    expect(stream.pollDrained()).toBe(PENDING);
    client.resume();
    await polled(() => stream.pollDrained());
    stream.shutdown();
    expect(await everything()).toHaveLength(large.length + 'and then'.length);
  });

  describe('when the connection is shut down before the peer has taken it', () => {
    const LARGE = 8 << 20;

    async function shutDown(peerEnds: boolean) {
      const { stream, client } = await pair();
      client.allowHalfOpen = true;
      stream.socket.allowHalfOpen = true;
      let got = 0;
      client.removeAllListeners('data');
      client.on('data', (bytes) => {
        got += bytes.length;
      });
      client.pause();
      fakeClock();
      if (peerEnds) {
        expect(stream.pollEnded()).toBe(PENDING);
        client.end();
        while (!stream.readEnded) await endOfTurn();
      }
      stream.write(Buffer.alloc(LARGE, 'x'));
      stream.shutdown();
      const pass = async (ms: number) => {
        for (let passed = 0; passed < ms; passed += 1000) {
          vi.advanceTimersByTime(1000);
          await endOfTurn();
        }
      };
      return { client, stream, pass, got: () => got };
    }

    it('goes to a peer that takes its time', async () => {
      const { client, pass, got } = await shutDown(false);
      await pass(30_000);
      const ended = once(client, 'end');
      client.resume();
      await ended;
      client.end();
      expect(got()).toBe(LARGE);
    });

    it.each([false, true])('is given up when the peer takes nothing for long (it has ended: %s)', async (peerEnds) => {
      const { stream, pass } = await shutDown(peerEnds);
      await pass(50_000);
      expect(stream.socket.destroyed).toBe(false);
      await pass(20_000);
      expect(stream.socket.destroyed).toBe(true);
    });
  });

  it('says so to who waits for the peer when the connection breaks', async () => {
    const { stream, socket, client } = await pair();
    client.pause();
    stream.write(Buffer.alloc(8 << 20, 'x'));
    const waiting = polled(() => stream.pollDrained());
    socket.destroy();
    await expect(waiting).rejects.toThrow('the connection is closed');
  });

  it('waits for the peer no longer than it was told', async () => {
    const { stream, client } = await pair();
    client.pause();
    stream.write(Buffer.alloc(8 << 20, 'x'));
    await expect(polled(() => stream.pollDrained(1))).rejects.toBeInstanceOf(Elapsed);
    stream.destroy();
    client.destroy();
  });
});

describe('who waits for bytes', () => {
  it.each([
    ['waits until everything has been read in the turn', 'a head', false],
    ['is woken at once by much', 'b'.repeat(32 * 1024), true],
  ])('%s', async (_, bytes, atOnce) => {
    const { stream, socket, client } = await pair();
    let woken = false;
    const waiting = polled(() => stream.pollFill(0)).then(() => {});
    const task = polled(() => {
      woken ||= stream.bufferedLength > 0;
      return stream.pollFill(0);
    });
    // behind the stream's own listener
    let wokenByRead: boolean | undefined;
    const read = once(socket, 'data').then(() => {});
    socket.once('data', () => {
      wokenByRead = woken;
    });
    client.write(bytes);
    await Promise.race([Promise.all([read, task]), waiting]);
    await task;
    expect(wokenByRead).toBe(atOnce);
    expect(stream.bufferedLength).toBeGreaterThan(0);
    stream.destroy();
  });

  it('is pending again when it was woken for bytes that are gone', async () => {
    const { stream, client } = await pair();
    client.write('one');
    expect(await polled(() => stream.pollFill(0))).toBe(true);
    const second = polled(() => stream.pollFill(3));
    client.write(' two');
    expect(await second).toBe(true);
    expect(stream.buffered().toString()).toBe('one two');
    stream.destroy();
  });

  it('waits no longer than it was told, each time anew', async () => {
    const { stream, client } = await pair();
    await expect(polled(() => stream.pollRead(10, 1))).rejects.toBeInstanceOf(Elapsed);
    const next = polled(() => stream.pollRead(10, 60_000));
    client.write('late');
    expect((await next).toString()).toBe('late');
    stream.destroy();
  });
});
