/** Guided tours: stops in a scenario's trace, each with what is to be seen there. */
import { gracefulShutdown } from './tours/graceful-shutdown.ts';
import { h1 } from './tours/h1.ts';
import { keepalive } from './tours/keepalive.ts';
import { retry } from './tours/retry.ts';
import type { Tour } from './tours/stop.ts';
import { tlsH2 } from './tours/tls-h2.ts';
import { upgrade } from './tours/upgrade.ts';

export type { StatePart, Stop, Tour } from './tours/stop.ts';

/** In the order in which one takes them. */
export const tours: readonly Tour[] = [h1, keepalive, tlsH2, retry, gracefulShutdown, upgrade];

/** The scenarios in the order in which one learns them; others follow in their own order. */
export const COURSE: readonly string[] = [
  'h1',
  'keepalive',
  'post',
  'retry',
  'dead-upstream',
  'deny',
  'bad-request',
  'phases',
  'tls-h1',
  'tls-h2',
  'h2-upstream',
  'h2-to-h2',
  'graceful-shutdown',
  'upgrade',
];

/** Which traces are worth being compared with a scenario's, beside the record of Pingora. */
export const COMPARE: ReadonlyMap<string, readonly string[]> = new Map([
  ['h1', ['keepalive', 'tls-h1', 'post', 'deny', 'h2-upstream']],
  ['keepalive', ['h1', 'closed-in-pool', 'broken-reuse']],
  ['post', ['h1', 'chunked-post']],
  ['chunked-post', ['post']],
  ['retry', ['dead-upstream', 'h1']],
  ['dead-upstream', ['retry', 'h1']],
  ['deny', ['h1']],
  ['bad-request', ['h1']],
  ['phases', ['bare', 'h1']],
  ['tls-h1', ['h1', 'tls-h2']],
  ['tls-h2', ['tls-h1', 'h2-to-h2']],
  ['h2-upstream', ['h1', 'h2-to-h2', 'downgrade']],
  ['h2-to-h2', ['h2-upstream', 'tls-h2']],
  ['graceful-shutdown', ['upgrade', 'h1']],
  ['upgrade', ['graceful-shutdown', 'takeover']],
  ['closed-in-pool', ['keepalive']],
  ['broken-reuse', ['keepalive']],
  ['broken-answer', ['h1', 'client-abort']],
  ['timeout', ['h1', 'broken-answer']],
]);
