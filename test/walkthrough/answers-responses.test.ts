/** What `walkthrough/ANSWERS.md` says of changing, refusing and retrying responses, tried out. */
import { expect, test } from 'vitest';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import { ResponseHeader } from '../../src/http/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { ProxyHttp } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { answering, Origin } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
const to = (origin: Origin) => `127.0.0.1:${origin.port}`;
const saying = (status: string, text: string) => `HTTP/1.1 ${status}\r\nContent-Length: ${text.length}\r\n\r\n${text}`;

/** Changes the response's body. */
class Louder extends ToOrigin {
  override responseFilter(_session: Session, response: ResponseHeader): void {
    // the head goes before the body, so nobody can know the new length: the body is sent in chunks
    response.removeHeader('Content-Length');
  }

  override responseBodyFilter(_session: Session, body: Buffer | undefined): Buffer | undefined {
    return body && Buffer.from(`${body.toString().toUpperCase()}!`);
  }
}

test('a response’s body can be changed if its length is taken out of the head', async () => {
  const origin = await Origin.start(answering(() => saying('200 OK', 'hello')));
  const client = await (await startProxy(new Louder(to(origin)))).client();
  client.send(GET);
  const got = await client.until((text) => text.endsWith('0\r\n\r\n'));
  expect(got).toMatch(/\r\ntransfer-encoding: chunked\r\n/i);
  expect(got).toMatch(/\r\n\r\n6\r\nHELLO!\r\n0\r\n\r\n$/);
});

/** Asks the next origin when one is too busy. */
class NextWhenBusy extends ProxyHttp<{ tries: number }> {
  readonly logged: number[] = [];
  private readonly origins: readonly string[];

  constructor(origins: readonly string[]) {
    super();
    this.origins = origins;
  }

  newCtx(): { tries: number } {
    return { tries: 0 };
  }

  upstreamPeer(_session: Session, ctx: { tries: number }): HttpPeer {
    return HttpPeer.new(this.origins[ctx.tries++]!, false, '');
  }

  override responseFilter(_session: Session, response: ResponseHeader, ctx: { tries: number }): void {
    if (response.status !== 503 || ctx.tries === this.origins.length) return;
    const error = PingoraError.newUp(ErrorType.HTTPStatus(503));
    error.setRetry(true);
    throw error;
  }

  override logging(_session: Session, _error: PingoraError | undefined, ctx: { tries: number }): void {
    this.logged.push(ctx.tries);
  }
}

test('a response’s status can lead to another try, as long as nothing of it was sent', async () => {
  const busy = await Origin.start(answering(() => saying('503 Service Unavailable', 'busy')));
  const idle = await Origin.start(answering(() => saying('200 OK', 'idle')));
  const app = new NextWhenBusy([to(busy), to(idle)]);
  const client = await (await startProxy(app)).client();
  client.send(GET);
  expect(await client.until((text) => text.endsWith('idle'))).toMatch(/^HTTP\/1\.1 200 /);
  expect(busy.received).toMatch(/^GET \/ /);
  await expect.poll(() => app.logged).toEqual([2]);
});

test('and the last origin’s answer is passed on, whatever it is', async () => {
  const busy = await Origin.start(answering(() => saying('503 Service Unavailable', 'busy')));
  const client = await (await startProxy(new NextWhenBusy([to(busy), to(busy)]))).client();
  client.send(GET);
  expect(await client.until((text) => text.endsWith('busy'))).toMatch(/^HTTP\/1\.1 503 /);
});

/** Says which errors are a matter of time, and has a page for all of them. */
class ErrorPages extends ToOrigin {
  override upstreamPeer(session: Session): HttpPeer {
    const peer = super.upstreamPeer(session);
    peer.options.readTimeout = 20;
    return peer;
  }

  override async failToProxy(session: Session, error: PingoraError): Promise<number> {
    const late = [ErrorType.ConnectTimedout, ErrorType.ReadTimedout].some((type) => error.etype().is(type));
    const status = late ? 504 : 502;
    const page = Buffer.from(`sorry (${error.etype()})\n`);
    const head = ResponseHeader.build(status);
    head.insertHeader('Content-Length', page.length);
    // whatever is left of the exchange, this connection isn't used again
    session.setKeepalive(undefined);
    await session.writeResponseHeader(head);
    await session.writeResponseBody(page);
    return status;
  }
}

test('fail_to_proxy can answer with a status and a page of its own', async () => {
  const silent = await Origin.start(answering(() => undefined));
  const client = await (await startProxy(new ErrorPages(to(silent)))).client();
  client.send(GET);
  const got = await client.until((text) => text.endsWith(')\n'));
  expect(got).toMatch(/^HTTP\/1\.1 504 /);
  expect(got).toMatch(/\r\n\r\nsorry \(ReadTimedout\)\n$/);
  await client.end;
});

/** Answers without a length. */
class Endless extends ToOrigin {
  override async requestFilter(session: Session): Promise<boolean> {
    await session.writeResponseHeader(ResponseHeader.build(200));
    await session.writeResponseBody(Buffer.from('hello'));
    return true;
  }
}

test('an answer without a length ends with the connection', async () => {
  const client = await (await startProxy(new Endless('127.0.0.1:1'))).client();
  client.send(GET);
  const got = await client.until((text) => text.includes('hello'));
  expect(got).toMatch(/\r\nConnection: close\r\n/);
  expect(got.toLowerCase()).not.toMatch(/content-length|transfer-encoding/);
  await client.end;
});
