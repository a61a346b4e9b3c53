/**
 * What a proxy tells whoever counts, without any of the packages that count. The port's own: see `metrics.ts`.
 */
import type { PingoraError } from '../error/lib.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import type { Hooks } from './hooks.ts';
import type { ProxyHttp } from './proxy-trait.ts';

/** Counts what a proxy does: `ProxyMetrics` of `pingora-traced/metrics` is one. */
export abstract class ProxyCounts {
  /** No other object will do for one. */
  declare private readonly counts: never;

  /** @internal The hooks of an application, counted. */
  abstract hooks<CTX>(app: ProxyHttp<CTX>): Hooks<CTX>;
  /** @internal A session on a connection with a client begins. */
  abstract downstream(session: ServerSession): void;
  /** @internal A request that never was one. */
  abstract refused(session: ServerSession, error: PingoraError): void;
  /** @internal A client of HTTP/2 went over a limit or broke a rule: what ends for it, and the name of its error. */
  abstract refusedH2(level: 'stream' | 'connection', error: string): void;
}
