/** Clients that leave while their origin takes nothing of what they send: it is let go, and so are they. */

import { once } from 'node:events';
import { connect } from 'node:http2';
import { connect as tcp } from 'node:net';
import { connect as tls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { PingoraError } from '../../src/error/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { Origin } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';

const PIECE = Buffer.alloc(1024 * 1024);

describe('an upload that an HTTP/2 origin gives no window for', () => {
  test.each([
    ['is reset', (client: ReturnType<typeof connect>, stream: ReturnType<typeof client.request>) => stream.close(8)],
    ['is lost with its connection', (client: ReturnType<typeof connect>) => client.destroy()],
  ])('is given up at the origin when it %s by the client', async (_, leave) => {
    captureLog();
    let begun!: () => void;
    const asked = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let over!: (code: number) => void;
    const closed = new Promise<number>((resolve) => {
      over = resolve;
    });
    const origin = await h2Origin(
      (stream) => {
        stream.once('aborted', () => over(8));
        stream.resume();
        begun();
      },
      { settings: { initialWindowSize: 0 } },
    );
    const { port } = await startH2Proxy(new ToPeer(origin.peer()));
    const client = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    client.on('error', () => {});
    onTestFinished(() => client.destroy());
    const stream = client.request({ ':path': '/', ':method': 'POST' });
    stream.on('error', () => {});
    // more than the proxy writes ahead: it waits for the origin from then on
    await asked;
    stream.write(Buffer.alloc(200_000));
    await new Promise((resolve) => client.ping(resolve));
    leave(client, stream);
    expect(await closed).toBe(8);
  });
});

/** An origin of either version that reads nothing of what it is sent. */
const ORIGINS: Record<string, () => Promise<HttpPeer>> = {
  'an HTTP/1 origin': async () => {
    const origin = await Origin.start(({ socket }) => {
      socket.pause();
    });
    return HttpPeer.new(`127.0.0.1:${origin.port}`, false, '');
  },
  'an HTTP/2 origin': async () => (await h2Origin(() => {}, { settings: { initialWindowSize: 0 } })).peer(),
};

describe.each(Object.keys(ORIGINS))('an upload over HTTP/1 of which %s takes nothing', (origin) => {
  // Node tells nobody of a reset while it doesn't read: the origin would be held for as long as a write may take.
  test.each(['TCP', 'TLS'])('is given up when its connection (%s) is reset', async (kind) => {
    captureLog();
    let over!: (error: PingoraError | undefined) => void;
    const ended = new Promise<PingoraError | undefined>((resolve) => {
      over = resolve;
    });
    class App extends ToPeer {
      override logging(_session: Session, error: PingoraError | undefined): void {
        over(error);
      }
    }
    const app = new App(await ORIGINS[origin]!());
    const below = tcp({ port: (await (kind === 'TCP' ? startProxy(app) : startH2Proxy(app))).port, host: '127.0.0.1' });
    const client = kind === 'TCP' ? below : tls({ socket: below, rejectUnauthorized: false });
    for (const socket of [below, client]) socket.on('error', () => {});
    onTestFinished(() => {
      below.destroy();
    });
    await once(client, kind === 'TCP' ? 'connect' : 'secureConnect');
    client.write(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${100 * PIECE.length}\r\n\r\n`);
    // what is sent no more is in the way of the reset: until nobody takes anything
    let sent: number;
    do {
      sent = below.bytesWritten - below.writableLength;
      if (client.writableLength === 0) client.write(PIECE);
      await new Promise((resolve) => setTimeout(resolve, 50));
    } while (client.writableLength === 0 || below.bytesWritten - below.writableLength > sent);
    below.resetAndDestroy();
    const error = await ended;
    expect([error?.esource(), error?.reasonStr()]).toEqual(['Downstream', 'ReadError']);
  });
});
