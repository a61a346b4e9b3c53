/**
 * Pingora's error algebra: what failed, on whose side, whether to try again, and the chain of causes.
 *
 * Rust returns `Result<T, Box<Error>>`; the port throws {@link PingoraError}. The four facts stay the same because the
 * proxy decides by them: the type and the source choose the status sent to the client, the retry type whether another
 * try is made.
 *
 * Port of `pingora-error/src/lib.rs`.
 */

/** The side on which an error arose. */
export type ErrorSource = 'Upstream' | 'Downstream' | 'Internal' | 'Unset';

/** What failed. Compare with {@link ErrorType.is}; two of the same name and code are the same type. */
export class ErrorType {
  readonly name: string;
  /** The status of `HTTPStatus`, or the code of a type made with {@link ErrorType.newCode}. */
  readonly code: number | undefined;

  private constructor(name: string, code?: number) {
    this.name = name;
    this.code = code;
  }

  static readonly ConnectTimedout = new ErrorType('ConnectTimedout');
  static readonly ConnectRefused = new ErrorType('ConnectRefused');
  static readonly ConnectNoRoute = new ErrorType('ConnectNoRoute');
  static readonly TLSHandshakeFailure = new ErrorType('TLSHandshakeFailure');
  static readonly TLSHandshakeTimedout = new ErrorType('TLSHandshakeTimedout');
  static readonly InvalidCert = new ErrorType('InvalidCert');
  /** Any other handshake, as HTTP/2's. */
  static readonly HandshakeError = new ErrorType('HandshakeError');
  /** Any other failure to connect. */
  static readonly ConnectError = new ErrorType('ConnectError');
  static readonly BindError = new ErrorType('BindError');
  static readonly AcceptError = new ErrorType('AcceptError');
  static readonly SocketError = new ErrorType('SocketError');
  static readonly ConnectProxyFailure = new ErrorType('ConnectProxyFailure');
  static readonly InvalidHTTPHeader = new ErrorType('InvalidHTTPHeader');
  static readonly H1Error = new ErrorType('H1Error');
  static readonly H2Error = new ErrorType('H2Error');
  /** The peer asks over HTTP/2 to be spoken to in HTTP/1.1. */
  static readonly H2Downgrade = new ErrorType('H2Downgrade');
  /** The peer sent HTTP/2 frames that are not valid. */
  static readonly InvalidH2 = new ErrorType('InvalidH2');
  static readonly ReadError = new ErrorType('ReadError');
  static readonly WriteError = new ErrorType('WriteError');
  static readonly ReadTimedout = new ErrorType('ReadTimedout');
  static readonly WriteTimedout = new ErrorType('WriteTimedout');
  static readonly ConnectionClosed = new ErrorType('ConnectionClosed');
  static readonly FileOpenError = new ErrorType('FileOpenError');
  static readonly FileCreateError = new ErrorType('FileCreateError');
  static readonly FileReadError = new ErrorType('FileReadError');
  static readonly FileWriteError = new ErrorType('FileWriteError');
  static readonly InternalError = new ErrorType('InternalError');
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

  asStr(): string {
    return this.name;
  }

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

/** Pingora's `Error` (boxed there: `BError`). The name differs because JavaScript's own `Error` has it. */
export class PingoraError extends Error {
  override readonly name = 'PingoraError';
  #etype: ErrorType;
  #esource: ErrorSource;
  /** May be undecided; {@link PingoraError.decideReuse} decides it. */
  retryType: RetryType;
  context: string | undefined;
  override cause: Cause | undefined;

  constructor(etype: ErrorType, esource: ErrorSource, context?: string, cause?: unknown) {
    super(context ?? etype.name);
    this.#etype = etype;
    this.#esource = esource;
    this.context = context;
    this.cause = cause === undefined ? undefined : asError(cause);
    // a cause that may be retried makes its effect one that may be
    this.retryType = this.cause instanceof PingoraError ? this.cause.retryType : false;
  }

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

  static newUp(etype: ErrorType): PingoraError {
    return new PingoraError(etype, 'Upstream');
  }

  static newDown(etype: ErrorType): PingoraError {
    return new PingoraError(etype, 'Downstream');
  }

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

  etype(): ErrorType {
    return this.#etype;
  }

  esource(): ErrorSource {
    return this.#esource;
  }

  /** Whether to try again. Throws when it is still undecided, as the original panics. */
  retry(): boolean {
    if (this.retryType === 'ReusedOnly') throw new Error('Retry is not decided');
    return this.retryType;
  }

  setRetry(retry: boolean): void {
    this.retryType = retry;
  }

  /** Decide a retry that depends on whether the connection was reused. */
  decideReuse(reused: boolean): void {
    if (this.retryType === 'ReusedOnly') this.retryType = reused;
  }

  reasonStr(): string {
    return this.#etype.asStr();
  }

  sourceStr(): string {
    return this.#esource === 'Unset' ? '' : this.#esource;
  }

  asUp(): void {
    this.#esource = 'Upstream';
  }

  asDown(): void {
    this.#esource = 'Downstream';
  }

  asIn(): void {
    this.#esource = 'Internal';
  }

  intoUp(): this {
    this.asUp();
    return this;
  }

  intoDown(): this {
    this.asDown();
    return this;
  }

  intoIn(): this {
    this.asIn();
    return this;
  }

  setCause(cause: unknown): void {
    this.cause = asError(cause);
  }

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
    else if (this.cause !== undefined) out += ` cause: ${this.cause.message}`;
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
