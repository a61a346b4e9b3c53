/** Clients of HTTP/2 that leave while their origin takes nothing of what they send: it is let go, and so are they. */

import { connect } from 'node:http2';
import { describe, expect, onTestFinished, test } from 'vitest';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';

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
