/**
 * What HTTP sessions of both versions share.
 *
 * Port of `pingora-core/src/protocols/http/mod.rs`.
 */
import type { PingoraError } from '../../error/lib.ts';
import type { HMap, ResponseHeader } from '../../http/lib.ts';

/** What the proxy calls itself in the responses that it makes. */
export const SERVER_NAME = 'Pingora';

/** A piece of a response on its way through the proxy. */
export type HttpTask =
  /** The head, and whether the response ends with it. */
  | { readonly type: 'Header'; header: ResponseHeader; end: boolean }
  /** A piece of the body, and whether it is the last. */
  | { readonly type: 'Body'; data: Buffer | undefined; end: boolean }
  | { readonly type: 'Trailer'; trailers: HMap | undefined }
  /** The response ended before. */
  | { readonly type: 'Done' }
  /** Reading the response failed. */
  | { readonly type: 'Failed'; error: PingoraError };

const DONE: HttpTask = { type: 'Done' };

export const HttpTask = {
  Header: (header: ResponseHeader, end: boolean): HttpTask => ({ type: 'Header', header, end }),
  Body: (data: Buffer | undefined, end: boolean): HttpTask => ({ type: 'Body', data, end }),
  Trailer: (trailers: HMap | undefined): HttpTask => ({ type: 'Trailer', trailers }),
  Done: DONE,
  Failed: (error: PingoraError): HttpTask => ({ type: 'Failed', error }),

  /** Whether the response ends with this. */
  isEnd(task: HttpTask): boolean {
    return task.type === 'Header' || task.type === 'Body' ? task.end : true;
  },
};
