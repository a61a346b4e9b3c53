import { expect, test } from 'vitest';
import type { PingoraError } from '../../src/error/lib.ts';
import { HttpProxy, type Session } from '../../src/proxy/lib.ts';
import { createDummySession, DummyIO } from '../../src/proxy/subrequest.ts';
import { promised } from '../../src/runtime/task.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { request } from '../protocols/h2/harness.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { Origin } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';
import { turn } from '../support/streams.ts';

const PATH = { ':path': '/page' };

test('a dummy gives its bytes, then neither more nor an end, and takes what is written', async () => {
  const dummy = DummyIO.new(Buffer.from('ab'));
  let got = '';
  let ended = false;
  dummy.on('data', (piece: Buffer) => {
    got += piece;
  });
  dummy.on('end', () => {
    ended = true;
  });
  await new Promise<void>((resolve) => dummy.write('anything', () => resolve()));
  await turn();
  expect([got, ended]).toEqual(['ab', false]);
  dummy.destroy();
});

/** Makes each request a second time, on its own. */
class Twice extends ToOrigin {
  readonly ends: [string, PingoraError | undefined, number | undefined][] = [];
  private done: () => void = () => {};
  readonly both = new Promise<void>((resolve) => {
    this.done = resolve;
  });
  private readonly proxy = HttpProxy.new<undefined>(this, ServerConf.new());

  override async requestFilter(session: Session): Promise<boolean> {
    if (session.getHeader('x-first') !== undefined && this.ends.length === 0) {
      this.ends.push(['begun', undefined, undefined]);
      await promised(this.proxy.processSubrequest(createDummySession(session.downstreamSession)));
    }
    return false;
  }

  override logging(session: Session, error: PingoraError | undefined): void {
    this.ends.push([session.reqHeader().path, error, session.responseWritten()?.status]);
    if (this.ends.length === 3) this.done();
  }
}

test('a subrequest passes all phases and reaches the origin, and its answer goes nowhere', async () => {
  const origin = await Origin.start();
  const app = new Twice(`127.0.0.1:${origin.port}`);
  const client = await (await startProxy(app)).client();
  client.send('GET /page HTTP/1.1\r\nHost: a.test\r\nX-First: 1\r\n\r\n');
  const got = await client.until((text) => text.endsWith('hello'));
  await app.both;
  expect(got.split('HTTP/1.1 200')).toHaveLength(2);
  expect(origin.received.split('GET /page')).toHaveLength(3);
  expect(app.ends.slice(1)).toEqual([
    ['/page', undefined, 200],
    ['/page', undefined, 200],
  ]);
});

test('a request of HTTP/2 can be asked again too', async () => {
  const origin = await h2Origin();
  const answered: (number | undefined)[] = [];
  class App extends ToPeer {
    private readonly proxy = HttpProxy.new<undefined>(this, ServerConf.new());
    private asked = false;
    override async requestFilter(session: Session): Promise<boolean> {
      if (!this.asked) {
        this.asked = true;
        await promised(this.proxy.processSubrequest(createDummySession(session.downstreamSession)));
      }
      return false;
    }
    override logging(session: Session): void {
      answered.push(session.responseWritten()?.status);
    }
  }
  const client = (await startH2Proxy(new App(origin.peer()))).client();
  await request(client, PATH);
  expect(origin.requests.map((fields) => fields[':path'])).toEqual(['/page', '/page']);
  expect(answered).toEqual([200, 200]);
});

test('a request with a body is asked again without it', async () => {
  const origin = await Origin.start();
  const app = new Twice(`127.0.0.1:${origin.port}`);
  const client = await (await startProxy(app)).client();
  client.send('POST /page HTTP/1.1\r\nHost: a.test\r\nX-First: 1\r\nContent-Length: 3\r\n\r\nabc');
  await app.both;
  expect(app.ends.map(([, error]) => error)).toEqual([undefined, undefined, undefined]);
  expect(origin.received.split('Content-Length: 3')).toHaveLength(2);
});
