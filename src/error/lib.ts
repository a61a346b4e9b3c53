/**
 * Pingora's error algebra: what failed, on whose side, whether to try again, and the chain of causes.
 *
 * Rust returns `Result<T, Box<Error>>`; the port throws {@link PingoraError}. The four facts stay the same because the
 * proxy decides by them: the type and the source choose the status sent to the client, the retry type whether another
 * try is made.
 *
 * Port of `pingora-error/src/lib.rs`.
 */
import { display } from './io.ts';

/** The side on which an error arose. */
export type ErrorSource = 'Upstream' | 'Downstream' | 'Internal' | 'Unset';

/** What failed. Compare with {@link ErrorType.is}; two of the same name and code are the same type. */
export class ErrorType {
  /** As it is logged; `HTTPStatus` for every status. */
  readonly name: string;
  /** The status of `HTTPStatus`, or the code of a type made with {@link ErrorType.newCode}. */
  readonly code: number | undefined;

  private constructor(name: string, code?: number) {
    this.name = name;
    this.code = code;
  }

  /** Connecting, or the TLS handshake after it, took longer than the peer's options allow. */
  static readonly ConnectTimedout = new ErrorType('ConnectTimedout');
  /** Nobody listens at the address. */
  static readonly ConnectRefused = new ErrorType('ConnectRefused');
  /** The system knows no way to the address. */
  static readonly ConnectNoRoute = new ErrorType('ConnectNoRoute');
  /** The TLS handshake failed; not for the certificate, which is `InvalidCert`. */
  static readonly TLSHandshakeFailure = new ErrorType('TLSHandshakeFailure');
  /** A TLS handshake took too long. The connectors say `ConnectTimedout` instead, as the original's do. */
  static readonly TLSHandshakeTimedout = new ErrorType('TLSHandshakeTimedout');
  /** The peer's certificate isn't trusted, or is another name's. */
  static readonly InvalidCert = new ErrorType('InvalidCert');
  /** Any other handshake, as HTTP/2's. */
  static readonly HandshakeError = new ErrorType('HandshakeError');
  /** Any other failure to connect. */
  static readonly ConnectError = new ErrorType('ConnectError');
  /** An address can't be bound, or is none. */
  static readonly BindError = new ErrorType('BindError');
  /** A listening socket gave an error instead of a connection. */
  static readonly AcceptError = new ErrorType('AcceptError');
  /** A socket could not be set up, or be handed over. */
  static readonly SocketError = new ErrorType('SocketError');
  /** The proxy on the way to the server didn't answer CONNECT with 2xx. */
  static readonly ConnectProxyFailure = new ErrorType('ConnectProxyFailure');
  /** A head that HTTP's grammar doesn't allow, received or about to be sent. */
  static readonly InvalidHTTPHeader = new ErrorType('InvalidHTTPHeader');
  /** Any other error of HTTP/1. For applications: the port has a better name for each of its own. */
  static readonly H1Error = new ErrorType('H1Error');
  /** Any other error of an HTTP/2 connection or stream. */
  static readonly H2Error = new ErrorType('H2Error');
  /** The peer asks over HTTP/2 to be spoken to in HTTP/1.1. */
  static readonly H2Downgrade = new ErrorType('H2Downgrade');
  /** The peer sent HTTP/2 frames that are not valid. */
  static readonly InvalidH2 = new ErrorType('InvalidH2');
  /** Reading from the peer failed, or reading a configuration. */
  static readonly ReadError = new ErrorType('ReadError');
  /** Writing to the peer failed. */
  static readonly WriteError = new ErrorType('WriteError');
  /** The peer sent nothing for as long as a read may take. */
  static readonly ReadTimedout = new ErrorType('ReadTimedout');
  /** The peer took nothing for as long as a write may take. */
  static readonly WriteTimedout = new ErrorType('WriteTimedout');
  /** The peer closed the connection in the middle of a message. */
  static readonly ConnectionClosed = new ErrorType('ConnectionClosed');
  /** For applications: a file could not be opened. */
  static readonly FileOpenError = new ErrorType('FileOpenError');
  /** For applications: a file could not be made. */
  static readonly FileCreateError = new ErrorType('FileCreateError');
  /** For applications: a file could not be read. */
  static readonly FileReadError = new ErrorType('FileReadError');
  /** For applications: a file could not be written. */
  static readonly FileWriteError = new ErrorType('FileWriteError');
  /** A fault of the program's or of what it runs on, and nobody's at either end. */
  static readonly InternalError = new ErrorType('InternalError');
  /** What was thrown was no Pingora error; see {@link PingoraError.from}. */
  static readonly UnknownError = new ErrorType('UnknownError');

  /** The application decided on a status; `fail_to_proxy` answers with it. */
  static HTTPStatus(code: number): ErrorType {
    return new ErrorType('HTTPStatus', code);
  }

  /** A type of the application's own. `name` should be unique. */
  static new(name: string): ErrorType {
    return new ErrorType(name);
  }

  /** As {@link ErrorType.new}, with a code. */
  static newCode(name: string, code: number): ErrorType {
    return new ErrorType(name, code);
  }

  /** Whether both are the same type. */
  is(other: ErrorType): boolean {
    return this === other || (this.name === other.name && this.code === other.code);
  }

  /** {@link ErrorType.name}. */
  asStr(): string {
    return this.name;
  }

  /** {@link ErrorType.name}, for templates. */
  toString(): string {
    return this.name;
  }
}

/** Whether the request that met an error may be tried again: decided, or only if its connection was a reused one. */
export type RetryType = boolean | 'ReusedOnly';

/** Anything that can be the cause of an error: another {@link PingoraError}, or what Node threw. */
export type Cause = Error;

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/**
 * Pingora's `Error` (boxed there: `BError`): what failed (its type), on which side (its source), whether to try again,
 * in which circumstances (its context), and what it came from (its cause). The name differs because JavaScript's own
 * `Error` has it.
 *
 * ```ts
 * const error = PingoraError.explain(ErrorType.HTTPStatus(429), 'too many requests');
 * error.setRetry(true);
 * console.log(error.etype().name, error.etype().code, error.esource()); // HTTPStatus 429 Unset
 * console.log(error.context); // too many requests
 * ```
 */
export class PingoraError extends Error {
  /** What JavaScript calls the class in a stack trace; never the type of the error. */
  override readonly name = 'PingoraError';
  #etype: ErrorType;
  #esource: ErrorSource;
  /** May be undecided; {@link PingoraError.decideReuse} decides it. */
  retryType: RetryType;
  /** What the type doesn't say: what was tried, with what. */
  context: string | undefined;
  /** The error that led to this one. */
  override cause: Cause | undefined;

  /** Rather by {@link PingoraError.explain} and {@link PingoraError.because}. */
  constructor(etype: ErrorType, esource: ErrorSource, context?: string, cause?: unknown) {
    super(context ?? etype.name);
    this.#etype = etype;
    this.#esource = esource;
    this.context = context;
    this.cause = cause === undefined ? undefined : asError(cause);
    // a cause that may be retried makes its effect one that may be
    this.retryType = this.cause instanceof PingoraError ? this.cause.retryType : false;
  }

  /** An error with all that can be said; {@link PingoraError.retryType} is the cause's, or false. */
  static create(etype: ErrorType, esource: ErrorSource, context?: string, cause?: unknown): PingoraError {
    return new PingoraError(etype, esource, context, cause);
  }

  /** An error of this type, its side not known yet. */
  static new(etype: ErrorType): PingoraError {
    return new PingoraError(etype, 'Unset');
  }

  /** An error caused by another one. Use it only where `context` adds what the cause doesn't say. */
  static because(etype: ErrorType, context: string, cause: unknown): PingoraError {
    return new PingoraError(etype, 'Unset', context, cause);
  }

  /** An error with a context and no cause. */
  static explain(etype: ErrorType, context: string): PingoraError {
    return new PingoraError(etype, 'Unset', context);
  }

  /** An error of this type on the origin's side. */
  static newUp(etype: ErrorType): PingoraError {
    return new PingoraError(etype, 'Upstream');
  }

  /** An error of this type on the client's side. */
  static newDown(etype: ErrorType): PingoraError {
    return new PingoraError(etype, 'Downstream');
  }

  /** An error of this type of the proxy's own. */
  static newIn(etype: ErrorType): PingoraError {
    return new PingoraError(etype, 'Internal');
  }

  /** An error of a type of its own, named by `name`. */
  static newStr(name: string): PingoraError {
    return new PingoraError(ErrorType.new(name), 'Unset');
  }

  /** Whatever was thrown, as a Pingora error: itself if it is one, else an `UnknownError` with it as cause. */
  static from(thrown: unknown): PingoraError {
    return thrown instanceof PingoraError
      ? thrown
      : new PingoraError(ErrorType.UnknownError, 'Internal', 'unexpected', thrown);
  }

  /** What failed. */
  etype(): ErrorType {
    return this.#etype;
  }

  /** On whose side. */
  esource(): ErrorSource {
    return this.#esource;
  }

  /** Whether to try again. Throws when it is still undecided, as the original panics. */
  retry(): boolean {
    if (this.retryType === 'ReusedOnly') throw new Error('Retry is not decided');
    return this.retryType;
  }

  /** Decide whether to try again, whatever was said before. */
  setRetry(retry: boolean): void {
    this.retryType = retry;
  }

  /** Decide a retry that depends on whether the connection was reused. */
  decideReuse(reused: boolean): void {
    if (this.retryType === 'ReusedOnly') this.retryType = reused;
  }

  /** The type's name. */
  reasonStr(): string {
    return this.#etype.asStr();
  }

  /** The side's name; empty while it isn't known. */
  sourceStr(): string {
    return this.#esource === 'Unset' ? '' : this.#esource;
  }

  /** Put it on the origin's side. */
  asUp(): void {
    this.#esource = 'Upstream';
  }

  /** Put it on the client's side. */
  asDown(): void {
    this.#esource = 'Downstream';
  }

  /** Make it the proxy's own. */
  asIn(): void {
    this.#esource = 'Internal';
  }

  /** As {@link PingoraError.asUp}; returns the error, to be thrown. */
  intoUp(): this {
    this.asUp();
    return this;
  }

  /** As {@link PingoraError.asDown}; returns the error, to be thrown. */
  intoDown(): this {
    this.asDown();
    return this;
  }

  /** As {@link PingoraError.asIn}; returns the error, to be thrown. */
  intoIn(): this {
    this.asIn();
    return this;
  }

  /** Replace the cause; what is no `Error` becomes one. */
  setCause(cause: unknown): void {
    this.cause = asError(cause);
  }

  /** Replace the context. {@link PingoraError.moreContext} keeps both. */
  setContext(context: string): void {
    this.context = context;
  }

  /** A new error of the same type, side and retry, with this one as its cause. */
  moreContext(context: string): PingoraError {
    const error = new PingoraError(this.#etype, this.#esource, context, this);
    error.retryType = this.retryType;
    return error;
  }

  #chainDisplay(previous: PingoraError | undefined): string {
    let out = '';
    if (previous === undefined || previous.#esource !== this.#esource) out += this.sourceStr();
    if (previous === undefined || !previous.#etype.is(this.#etype)) out += ` ${this.#etype.asStr()}`;
    if (this.context !== undefined) out += ` context: ${this.context}`;
    if (this.cause instanceof PingoraError) out += ` cause: ${this.cause.#chainDisplay(this)}`;
    else if (this.cause !== undefined) out += ` cause: ${display(this.cause)}`;
    return out;
  }

  /** The whole chain in one line, what an effect has in common with its cause said once. */
  override toString(): string {
    return this.#chainDisplay(undefined);
  }

  /** The type of the first error of the chain. */
  rootEtype(): ErrorType {
    return this.cause instanceof PingoraError ? this.cause.rootEtype() : this.#etype;
  }

  /** The first error of the chain, whatever its class. */
  rootCause(): Error {
    if (this.cause === undefined) return this;
    return this.cause instanceof PingoraError ? this.cause.rootCause() : this.cause;
  }
}

/**
 * Run `body`; if it throws, throw a Pingora error of `etype` with what it threw as the cause (Rust's `or_err`).
 * `context` is a string, or a function where building it costs something (`or_err_with`).
 */
export function orErr<T>(etype: ErrorType, context: string | (() => string), body: () => T): T {
  try {
    const result = body();
    if (result instanceof Promise) {
      return result.catch((error: unknown) => {
        throw PingoraError.because(etype, typeof context === 'string' ? context : context(), error);
      }) as T;
    }
    return result;
  } catch (error) {
    throw PingoraError.because(etype, typeof context === 'string' ? context : context(), error);
  }
}
