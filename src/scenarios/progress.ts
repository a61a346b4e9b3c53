/**
 * What a recorder (or `untraced.ts`) has seen, so that a scenario can wait for what its server does instead of waiting
 * for a while.
 */
import type { Span } from '../tracing/recorder.ts';

export class Progress {
  readonly #begun = new Map<string, number>();
  readonly #ended = new Map<string, number>();
  #waiting: { met: () => boolean; resolve: () => void }[] = [];

  /** For the recorder's `observe`. */
  readonly observe = (span: Span, what: 'begin' | 'end'): void => this.note(span.site.fn, what);

  /** A call of this function begins or ends. */
  note(fn: string, what: 'begin' | 'end'): void {
    const counts = what === 'begin' ? this.#begun : this.#ended;
    counts.set(fn, (counts.get(fn) ?? 0) + 1);
    if (this.#waiting.length === 0) return;
    const met = this.#waiting.filter((wait) => wait.met());
    if (met.length === 0) return;
    this.#waiting = this.#waiting.filter((wait) => !met.includes(wait));
    for (const { resolve } of met) resolve();
  }

  begun(fn: string): number {
    return this.#begun.get(fn) ?? 0;
  }

  ended(fn: string): number {
    return this.#ended.get(fn) ?? 0;
  }

  /** Wait until `met` is true; it is asked when a span begins or ends. */
  until(met: () => boolean): Promise<void> {
    return met() ? Promise.resolve() : new Promise((resolve) => this.#waiting.push({ met, resolve }));
  }

  /** Wait until none of these functions is running. */
  idle(...fns: string[]): Promise<void> {
    return this.until(() => fns.every((fn) => this.begun(fn) === this.ended(fn)));
  }
}
