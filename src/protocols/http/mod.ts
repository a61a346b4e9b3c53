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
  | {
      readonly type: 'Header';
      /** The head. */
      header: ResponseHeader;
      /** Whether the response ends with it. */
      end: boolean;
    }
  | {
      readonly type: 'Body';
      /** A piece of the body; undefined: none, the response only ends here. */
      data: Buffer | undefined;
      /** Whether it is the last. */
      end: boolean;
    }
  | {
      readonly type: 'Trailer';
      /** The fields after the body; undefined: none. */
      trailers: HMap | undefined;
    }
  /** The response ended before. */
  | { readonly type: 'Done' }
  | {
      readonly type: 'Failed';
      /** Why the response could not be read. */
      error: PingoraError;
    };

const DONE: HttpTask = { type: 'Done' };

/** Makes pieces of a response, as the variants of Pingora's enum do. */
export const HttpTask = {
  /** The response's head; `end`: nothing follows. */
  Header: (header: ResponseHeader, end: boolean): HttpTask => ({ type: 'Header', header, end }),
  /** A piece of the body; `end`: the last. Undefined data with `end` only ends it. */
  Body: (data: Buffer | undefined, end: boolean): HttpTask => ({ type: 'Body', data, end }),
  /** The fields after the body, which end the response; undefined for none. */
  Trailer: (trailers: HMap | undefined): HttpTask => ({ type: 'Trailer', trailers }),
  /** The response is complete. */
  Done: DONE,
  /** Reading the response failed, for this. */
  Failed: (error: PingoraError): HttpTask => ({ type: 'Failed', error }),

  /** Whether the response ends with this. */
  isEnd(task: HttpTask): boolean {
    return task.type === 'Header' || task.type === 'Body' ? task.end : true;
  },
};
