/**
 * Requests that the proxy makes of itself: nobody sent them and nobody reads their answers. 0.1.0 refreshes its cache
 * with them.
 *
 * Port of `pingora-proxy/src/subrequest.rs`.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Session as HttpSession } from '../protocols/http/server.ts';
import { Stream } from '../protocols/l4/stream.ts';
import { ported, traced } from '../tracing/span.ts';

const rust = ported('pingora-proxy/src/subrequest.rs');

/** A connection that gives the bytes of a request, then nothing and no end, and swallows what is written. */
@traced
export class DummyIO extends Duplex {
  private bytes: Buffer | null;

  private constructor(bytes: Buffer) {
    super();
    this.bytes = bytes;
  }

  @rust.method
  static new(bytes: Buffer): DummyIO {
    return new DummyIO(bytes);
  }

  override _read(): void {
    const { bytes } = this;
    this.bytes = null;
    // the end would be taken for that of the client
    if (bytes !== null) this.push(bytes);
  }

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/**
 * A session that asks what `session` asks, over HTTP/1.1 whatever that is. Its body isn't captured, so the head says of
 * none; the original leaves the length in, and waits for a body that can't come.
 */
export const createDummySession = rust.fn('subrequest::create_dummy_session', (session: HttpSession): HttpSession => {
  const request = session.reqHeader();
  const headers = request.headers.clone();
  for (const name of ['content-length', 'transfer-encoding', 'expect']) headers.remove(name);
  if (!headers.has('host')) headers.insertUnchecked('Host', request.authority ?? '');
  const head = `${request.method} ${request.rawPath()} HTTP/1.1\r\n${headers.toWire()}\r\n`;
  return HttpSession.newHttp1(new Stream(DummyIO.new(Buffer.from(head, 'latin1')) as unknown as Socket));
});
