/**
 * Compressing and decompressing responses on their way.
 *
 * Port of `pingora-core/src/protocols/http/compression/mod.rs`.
 */
import { PingoraError } from '../../../error/lib.ts';
import type { RequestHeader, ResponseHeader } from '../../../http/lib.ts';
import { Log } from '../../../log.ts';
import { ported, traced } from '../../../tracing/span.ts';
import { HttpTask } from '../mod.ts';
import { parseTokens } from './accept.ts';
import * as brotli from './brotli.ts';
import type { Encode, Stat } from './encode.ts';
import * as gzip from './gzip.ts';
import * as zstd from './zstd.ts';

export type { Encode, Stat } from './encode.ts';

const rust = ported('pingora-core/src/protocols/http/compression/mod.rs');
const log = new Log('pingora_core::protocols::http::compression');

/** A content coding. `Any` is the empty name; `Other` is one that isn't known here. */
export type Algorithm = 'Any' | 'Gzip' | 'Brotli' | 'Zstd' | 'Other';

/** What to do with a response's body. */
export type Action =
  | { readonly type: 'Noop' }
  | { readonly type: 'Compress'; readonly algorithm: Algorithm }
  | { readonly type: 'Decompress'; readonly algorithm: Algorithm };

const NOOP: Action = { type: 'Noop' };
const EMPTY = Buffer.alloc(0);
/** A shorter body has little to gain, and gzip's own head and tail to lose. */
const MIN_COMPRESS_LEN = 20;
const COMPRESSIBLE =
  /^(?:text\/|application\/|font\/|image\/(?:x-icon|svg\+xml|nd\.microsoft\.icon)|binary\/octet-stream)/;

/**
 * Compresses or decompresses the response to one request.
 *
 * Give it the request's head and then each piece of the response. A response without a coding, of a type and length
 * worth it, is compressed with the first coding that the client accepts; one with a coding that the client doesn't
 * accept is decompressed. That covers compressing with gzip, brotli and (where Node has it) zstd, and decompressing
 * brotli.
 */
@traced
export class ResponseCompressionCtx {
  private phase: 'Header' | 'Body' = 'Header';
  private level: number;
  private decompress: boolean;
  private accepted: Algorithm[] = [];
  private encoder: Encode | null = null;
  /** Nothing more goes through the encoder. */
  private finished = false;

  private constructor(level: number, decompress: boolean) {
    this.level = level;
    this.decompress = decompress;
  }

  /** `level` 0 doesn't compress; `decompress` says whether to decompress what the client doesn't accept. */
  static new(level: number, decompress: boolean): ResponseCompressionCtx {
    return new ResponseCompressionCtx(level, decompress);
  }

  /** Whether there is, or may be, anything to do. */
  isEnabled(): boolean {
    return this.phase === 'Header' ? this.level !== 0 || this.decompress : this.encoder !== null;
  }

  /** @internal What was done; undefined if nothing is. */
  getInfo(): Stat | undefined {
    return this.encoder?.stat();
  }

  /** Compress with another level. Throws once the response's head has passed. */
  adjustLevel(level: number): void {
    this.expect('Header');
    this.level = level;
  }

  /** Decompress, or don't. Throws once the response's head has passed. */
  adjustDecompression(enabled: boolean): void {
    this.expect('Header');
    this.decompress = enabled;
  }

  private expect(phase: 'Header' | 'Body'): void {
    if (this.phase !== phase) throw new Error(`Wrong phase: ${this.phase}Phase`);
  }

  private toBody(encoder: Encode | null): void {
    this.phase = 'Body';
    this.encoder = encoder;
  }

  /** See what the client accepts. */
  @rust.method
  requestFilter(req: RequestHeader): void {
    if (!this.isEnabled()) return;
    this.expect('Header');
    parseAcceptEncoding(req.headers.joined('accept-encoding'), this.accepted);
  }

  @rust.method
  private responseHeaderFilter(resp: ResponseHeader, end: boolean): void {
    // a second head after the one that counted: nothing to decide any more, where the original panics
    if (this.phase === 'Body') return;
    if (resp.isInformational) {
      // what follows 101 isn't HTTP (RFC 9110 7.8); after any other the head that counts is to come
      if (resp.status === 101) this.toBody(null);
      return;
    }
    if (end) {
      this.toBody(null);
      return;
    }
    const action = decideAction(resp, this.accepted);
    let encoder: Encode | null = null;
    if (action.type === 'Compress') encoder = compressor(action.algorithm, this.level, isEventStream(resp));
    else if (action.type === 'Decompress') encoder = decompressor(action.algorithm, this.decompress);
    if (encoder !== null) adjustResponseHeader(resp, action);
    // another client would have got it compressed
    else if (this.level > 0 && mayChange(resp) && !resp.headers.has('content-encoding') && compressible(resp))
      vary(resp);
    this.toBody(encoder);
  }

  /**
   * Pass a piece of the response. Heads are changed in place; for a piece that becomes another one, that one is
   * returned, and undefined for one that stays as it is.
   */
  @rust.method
  responseFilter(task: HttpTask): HttpTask | undefined {
    if (!this.isEnabled()) return undefined;
    if (task.type === 'Header') {
      this.responseHeaderFilter(task.header, task.end);
      return undefined;
    }
    const encoder = this.encoder;
    if (encoder === null || this.finished) return undefined;
    if (task.type === 'Failed') {
      this.close();
      return undefined;
    }
    const end = task.type !== 'Body' || task.end;
    // The last bytes of the coding have to be sent, so trailers give way to them, as they may (RFC 9110 6.5.1). The
    // original passes trailers on and leaves the body without its end.
    return this.responseBodyFilter(encoder, task.type === 'Body' ? task.data : undefined, end);
  }

  @rust.method
  private responseBodyFilter(encoder: Encode, data: Buffer | undefined, end: boolean): HttpTask {
    try {
      // even nothing is fed: the coding may have kept something for the end
      const out = encoder.encode(data ?? EMPTY, end);
      if (end) this.close();
      return HttpTask.Body(out.length > 0 ? out : undefined, end);
    } catch (error) {
      log.warn(() => `Failed to compress, compression disabled, ${error}`);
      this.close();
      this.encoder = null;
      // The head is sent, and what it says of the body isn't true any more. The original goes on with the bytes as they
      // came, for the client to take for something else.
      return HttpTask.Failed(PingoraError.from(error));
    }
  }

  /** Free what the encoder holds. For a response that ends before its end. */
  close(): void {
    if (this.finished) return;
    this.finished = true;
    this.encoder?.close();
  }
}

/** A coding by its name, in any case. */
function algorithmFrom(name: string): Algorithm {
  switch (name.toLowerCase()) {
    case 'gzip':
      return 'Gzip';
    case 'br':
      return 'Brotli';
    case 'zstd':
      return 'Zstd';
    case '':
      return 'Any';
    default:
      return 'Other';
  }
}

function asStr(algorithm: Algorithm): string {
  switch (algorithm) {
    case 'Gzip':
      return 'gzip';
    case 'Brotli':
      return 'br';
    case 'Zstd':
      return 'zstd';
    case 'Any':
      return '*';
    default:
      return 'other';
  }
}

function compressor(algorithm: Algorithm, level: number, eager: boolean): Encode | null {
  if (level === 0) return null;
  if (algorithm === 'Gzip') return gzip.Compressor.new(level, eager);
  if (algorithm === 'Brotli') return brotli.Compressor.new(level, eager);
  return algorithm === 'Zstd' && zstd.hasZstd ? zstd.Compressor.new(level, eager) : null;
}

/** Whether there is a {@link compressor} for it. */
function canCompress(algorithm: Algorithm): boolean {
  return algorithm === 'Gzip' || algorithm === 'Brotli' || (algorithm === 'Zstd' && zstd.hasZstd);
}

function decompressor(algorithm: Algorithm, enabled: boolean): Encode | null {
  return enabled && algorithm === 'Brotli' ? brotli.Decompressor.new() : null;
}

/** Add what Accept-Encoding accepts to `list`, in its order; weights don't count. */
export const parseAcceptEncoding = rust.fn(
  'compression::parse_accept_encoding',
  (acceptEncoding: string | undefined, list: Algorithm[]): void => {
    if (acceptEncoding === undefined) return;
    if (acceptEncoding === 'gzip') {
      list.push('Gzip');
      return;
    }
    const tokens = parseTokens(acceptEncoding);
    if (tokens === undefined) {
      log.warn(() => `Failed to parse accept-encoding ${JSON.stringify(acceptEncoding)}`);
      return;
    }
    for (const token of tokens) {
      const algorithm = algorithmFrom(token);
      if (algorithm !== 'Other') list.push(algorithm);
    }
  },
);

/** What to do with a response for a client that accepts `accepted`. */
export const decideAction = rust.fn(
  'compression::decide_action',
  (resp: ResponseHeader, accepted: readonly Algorithm[]): Action => {
    if (!mayChange(resp)) return NOOP;
    const coding = resp.headers.get('content-encoding');
    if (coding !== undefined) {
      const algorithm = algorithmFrom(coding);
      // a body without a coding is always acceptable (RFC 9110 12.5.3)
      return accepted.includes(algorithm) ? NOOP : { type: 'Decompress', algorithm };
    }
    // the original takes the first or nothing
    const preferred = accepted.find(canCompress);
    if (preferred === undefined || !compressible(resp)) return NOOP;
    return { type: 'Compress', algorithm: preferred };
  },
);

/**
 * Whether the content may have another coding: parts of it would not fit together any more (RFC 9110 14.4), and a
 * sender may forbid it (RFC 9111 5.2.2.6). The original does it all the same.
 */
function mayChange(resp: ResponseHeader): boolean {
  if (resp.status === 206 || resp.headers.has('content-range')) return false;
  return !/(?:^|[\s,])no-transform(?:$|[\s,])/i.test(resp.headers.joined('cache-control') ?? '');
}

/** Whether what comes is to be seen at once, and not when there is enough of it to be worth compressing. */
function isEventStream(resp: ResponseHeader): boolean {
  return resp.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
}

/** A cache must not give it to clients that accept other codings: RFC 9110 12.5.5. */
function vary(resp: ResponseHeader): void {
  const names = resp.headers.joined('vary') ?? '';
  if (!/(?:^|[\s,])(?:\*|accept-encoding)(?:$|[\s,])/i.test(names)) resp.appendHeader('Vary', 'Accept-Encoding');
}

function compressible(resp: ResponseHeader): boolean {
  const length = resp.headers.get('content-length');
  if (length !== undefined && /^\+?\d+$/.test(length) && Number(length) < MIN_COMPRESS_LEN) return false;
  const type = resp.headers.get('content-type');
  // a type with "zip" in it is most likely compressed already
  return type !== undefined && !type.includes('zip') && COMPRESSIBLE.test(type);
}

/** Say in the head what `action` does to the body, whose length isn't known any more. */
export const adjustResponseHeader = rust.fn(
  'compression::adjust_response_header',
  (resp: ResponseHeader, action: Action): void => {
    if (action.type === 'Noop') return;
    if (action.type === 'Decompress') resp.removeHeader('Content-Encoding');
    else resp.insertHeader('Content-Encoding', asStr(action.algorithm));
    resp.removeHeader('Content-Length');
    // ranges and digests were of the content as the origin has it
    for (const name of ['Accept-Ranges', 'Content-MD5', 'Content-Digest']) resp.removeHeader(name);
    // the same resource in other bytes: RFC 9110 8.8.1
    const tag = resp.headers.get('etag');
    if (tag?.startsWith('"')) resp.insertHeader('ETag', `W/${tag}`);
    vary(resp);
    // HTTP/2's session takes it out again
    resp.insertHeader('Transfer-Encoding', 'chunked');
  },
);
