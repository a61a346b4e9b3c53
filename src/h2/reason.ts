/**
 * What ends a stream or a connection: HTTP/2's error codes (RFC 9113 7) and the error that carries one.
 *
 * Named and worded as the h2 crate does it, so that the log reads like the original's.
 */

/** The error codes (RFC 9113 7). */
export const Reason = {
  /** Nothing went wrong: a graceful end, or no more of the request is wanted. */
  NO_ERROR: 0,
  /** The peer broke the protocol in a way that has no code of its own. */
  PROTOCOL_ERROR: 1,
  /** This end failed. */
  INTERNAL_ERROR: 2,
  /** The peer sent more than its window. */
  FLOW_CONTROL_ERROR: 3,
  /** The peer didn't acknowledge SETTINGS. */
  SETTINGS_TIMEOUT: 4,
  /** A frame came on a stream that had ended. */
  STREAM_CLOSED: 5,
  /** A frame has a length that it must not have. */
  FRAME_SIZE_ERROR: 6,
  /** Nothing was done for the stream: it may be tried again. */
  REFUSED_STREAM: 7,
  /** The stream isn't wanted any more. */
  CANCEL: 8,
  /** Fields could not be decoded: both ends' tables differ from now on. */
  COMPRESSION_ERROR: 9,
  /** The connection of a CONNECT broke. */
  CONNECT_ERROR: 10,
  /** The peer does too much of something. */
  ENHANCE_YOUR_CALM: 11,
  /** TLS is weaker than HTTP/2 allows. */
  INADEQUATE_SECURITY: 12,
  /** Only HTTP/1.1 will do. */
  HTTP_1_1_REQUIRED: 13,
} as const;

const NAMES = Object.keys(Reason);

const SENTENCES = [
  'not a result of an error',
  'unspecific protocol error detected',
  'unexpected internal error encountered',
  'flow-control protocol violated',
  'settings ACK not received in timely manner',
  'received frame when stream half-closed',
  'frame with invalid size',
  'refused stream before processing any application logic',
  'stream no longer needed',
  'unable to maintain the header compression context',
  'connection established in response to a CONNECT request was reset or abnormally closed',
  'detected excessive load generating behavior',
  'security properties do not meet minimum requirements',
  'endpoint requires HTTP/1.1',
];

/** The RFC's name of an error code; the number if it has none. */
export function reasonName(code: number): string {
  return NAMES[code] ?? String(code);
}

/** What an error code means, as a sentence for the log. */
export function reasonText(code: number): string {
  return SENTENCES[code] ?? 'unknown reason';
}

/** Who ended it: the peer, this end because of what the peer did, or this end's application. */
export type Initiator = 'remote' | 'library' | 'user';

const BY: Record<Initiator, string> = { remote: 'received', library: 'detected', user: 'sent by user' };

/** Why a stream or a connection has ended. */
export class H2Error extends Error {
  override readonly name = 'H2Error';
  /** `reset`: one stream. `goaway`: the whole connection. `io`: what carries the connection failed, see `cause`. */
  readonly kind: 'reset' | 'goaway' | 'io';
  /** An error code of RFC 9113 7; INTERNAL_ERROR for `io`. */
  readonly reason: number;
  readonly initiator: Initiator;
  /** What was wrong, in words; empty if nothing more is known. */
  readonly detail: string;

  constructor(kind: 'reset' | 'goaway' | 'io', reason: number, initiator: Initiator, detail = '', cause?: Error) {
    super(message(kind, reason, initiator, detail, cause), cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.reason = reason;
    this.initiator = initiator;
    this.detail = detail;
  }

  /** The peer broke a rule: the connection ends. */
  static goaway(reason: number, detail: string): H2Error {
    return new H2Error('goaway', reason, 'library', detail);
  }

  /** The peer broke a rule on a stream: the stream ends. */
  static reset(reason: number, detail: string): H2Error {
    return new H2Error('reset', reason, 'library', detail);
  }

  /** What carries the connection failed. */
  static io(cause: Error): H2Error {
    return new H2Error('io', Reason.INTERNAL_ERROR, 'library', '', cause);
  }

  isRemote(): boolean {
    return this.initiator === 'remote';
  }

  isGoAway(): boolean {
    return this.kind === 'goaway';
  }

  isIo(): boolean {
    return this.kind === 'io';
  }
}

function message(kind: string, reason: number, initiator: Initiator, detail: string, cause?: Error): string {
  if (kind === 'io') return cause?.message ?? 'the connection is closed';
  const what = kind === 'reset' ? 'stream' : 'connection';
  return `${what} error ${BY[initiator]}: ${reasonText(reason)}${detail === '' ? '' : ` (${detail})`}`;
}
