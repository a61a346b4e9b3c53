/** Two traces as one tree: what both called, and what only one did. */
import { type Aligned, align, differences } from '../../src/formats/align.ts';
import { isShownAt, type Level } from '../../src/formats/levels.ts';
import { asRecorded } from '../../src/formats/record.ts';
import { summaryOf } from '../../src/formats/summary.ts';
import { count } from '../format.ts';
import { formatPlace } from '../location.ts';
import { Steps } from '../steps.ts';
import type { TraceDocument, TraceSpan } from '../trace.ts';
import { byId, h } from './dom.ts';
import type { Entry } from './store.ts';
import { VirtualList } from './virtual.ts';

const ROW = 26;

/** The records of Pingora are named so. */
export const RECORD = 'pingora-';

export class CompareView {
  readonly #list: VirtualList;
  #rows: Aligned[] = [];
  #keys: [string, string] = ['', ''];
  #traces: [TraceDocument, TraceDocument] | null = null;
  #steps: [Steps, Steps] | null = null;

  constructor() {
    this.#list = new VirtualList(byId('compare-rows'), ROW, (row) => this.#row(this.#rows[row]!));
  }

  get isOpen(): boolean {
    return !byId('compare').hidden;
  }

  open([one, other]: [Entry, Entry], a: TraceDocument, b: TraceDocument, level: Level): void {
    this.#keys = [one.key, other.key];
    this.#traces = [a, b];
    this.#steps = [new Steps(a), new Steps(b)];
    byId('compare').hidden = false;
    for (const [side, entry, { scenario }] of [
      ['a', one, a],
      ['b', other, b],
    ] as const) {
      const isRecord = entry.kind === 'record';
      byId(`compare-${side}`).textContent = isRecord ? `Pingora 0.1.0, ${scenario}` : scenario;
      byId(`compare-about-${side}`).textContent = entry.about ?? (isRecord ? 'recorded from the Rust original' : '');
    }
    this.setLevel(level);
    byId('compare-rows').focus();
  }

  close(): void {
    byId('compare').hidden = true;
    this.#traces = null;
  }

  setLevel(level: Level): void {
    if (this.#traces === null) return;
    const [a, b] = this.#traces;
    const isRecord = this.#keys[1].startsWith(RECORD);
    const counts = (span: TraceSpan) => isShownAt(span, level);
    this.#rows = align(isRecord ? asRecorded(a, b) : a, b, { once: isRecord, counts });
    const { onlyA, onlyB } = differences(this.#rows);
    byId('compare-says').textContent =
      `${count(this.#rows.length - onlyA - onlyB, 'row')} in both, ${onlyA} only in ${isRecord ? 'the port' : a.scenario}, ` +
      `${onlyB} only in ${isRecord ? 'Pingora’s record' : b.scenario}`;
    byId('compare-rows').scrollTop = 0;
    this.#list.setCount(this.#rows.length);
    this.#list.refresh();
  }

  /** Scroll to the next row that only one has. */
  next(direction: 1 | -1): void {
    const list = byId('compare-rows');
    const at = Math.round(list.scrollTop / ROW);
    const differ = (row: number) => this.#rows[row]!.a === null || this.#rows[row]!.b === null;
    for (let row = at + direction; row >= 0 && row < this.#rows.length; row += direction) {
      const before = row - 1;
      if (differ(row) && (before < 0 || !differ(before))) {
        list.scrollTop = row * ROW;
        return;
      }
    }
  }

  #row({ depth, a, b, times }: Aligned): HTMLElement {
    const kind = a === null ? 'only-b' : b === null ? 'only-a' : 'both';
    return h(
      'div',
      { class: `compared is-${kind}`, role: 'row', style: `--depth:${Math.min(depth, 14)}` },
      this.#cell(a, times[0], 0),
      this.#cell(b, times[1], 1),
    );
  }

  #cell(span: TraceSpan | null, times: number, side: 0 | 1): HTMLElement {
    if (span === null) return h('span', { class: 'cell is-missing', role: 'cell' }, '');
    const steps = this.#steps![side];
    // the comparison may be of a cut of the trace: the call is looked up by its id
    const index = steps.spans.findIndex(({ id }) => id === span.id);
    const nth = steps.callsOf(span.fn).indexOf(index) + 1;
    const href = formatPlace({ trace: this.#keys[side], fn: span.fn, n: Math.max(1, nth) });
    return h(
      'span',
      { class: 'cell', role: 'cell' },
      h('a', { href, title: span.fn }, span.fn),
      times > 1 && h('small', {}, `×${times}`),
      h('small', { class: 'said' }, summaryOf(span) ?? ''),
    );
  }
}
