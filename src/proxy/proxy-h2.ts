import { ErrorType, PingoraError } from '../error/lib.ts';
import type { Outcome } from './proxy-cache.ts';

/** Holds the place of the exchange with an HTTP/2 origin. */
export async function proxyToH2Upstream(..._args: unknown[]): Promise<Outcome> {
  return { reuse: false, error: PingoraError.newIn(ErrorType.H2Error) };
}
