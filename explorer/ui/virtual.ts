/** A long list of rows of one height, of which only those that show are in the document. */
import { h, onceAFrame } from './dom.ts';

/** Rows above and below the window, so that a scroll shows no gap. */
const SPARE = 8;

export class VirtualList {
  readonly scroller: HTMLElement;
  readonly #space: HTMLElement;
  readonly #render: (row: number) => HTMLElement;
  readonly #rowHeight: number;
  #count = -1;
  #letters: number | undefined;
  readonly #later = onceAFrame(() => this.refresh());

  /** `render` makes a row; it is called again whenever what shows may have changed. */
  constructor(scroller: HTMLElement, rowHeight: number, render: (row: number) => HTMLElement) {
    this.scroller = scroller;
    this.#rowHeight = rowHeight;
    this.#render = render;
    this.#space = h('div', { class: 'virtual', role: 'presentation' });
    scroller.replaceChildren(this.#space);
    scroller.addEventListener('scroll', this.#later, { passive: true });
    new ResizeObserver(this.#later).observe(scroller);
  }

  /** How many rows there are, and how wide the widest is in letters (for lists that scroll sideways). */
  setCount(count: number, letters?: number): void {
    if (count === this.#count && letters === this.#letters) return;
    this.#count = count;
    this.#letters = letters;
    this.#space.style.height = `${count * this.#rowHeight}px`;
    this.#space.style.minWidth = letters === undefined ? '' : `${letters}ch`;
  }

  refresh(): void {
    const { scrollTop, clientHeight } = this.scroller;
    if (clientHeight === 0) return;
    const first = Math.max(0, Math.floor(scrollTop / this.#rowHeight) - SPARE);
    const last = Math.min(this.#count, Math.ceil((scrollTop + clientHeight) / this.#rowHeight) + SPARE);
    const rows: HTMLElement[] = [];
    for (let row = first; row < last; row++) {
      const element = this.#render(row);
      element.style.top = `${row * this.#rowHeight}px`;
      rows.push(element);
    }
    this.#space.replaceChildren(...rows);
  }

  /** Scroll so that the rows show: not at all if they do, else with the first a third below the top. */
  reveal(row: number, rows = 1, margin = 2): void {
    const { scrollTop, clientHeight } = this.scroller;
    if (clientHeight === 0) return;
    const top = row * this.#rowHeight;
    const height = rows * this.#rowHeight;
    const room = margin * this.#rowHeight;
    if (top - room >= scrollTop && top + height + room <= scrollTop + clientHeight) return;
    const spare = Math.max(0, clientHeight - height);
    const above = Math.floor(Math.min(spare / 2, clientHeight / 3) / this.#rowHeight);
    // a whole row at the top: half a row is one less to read
    this.scroller.scrollTop = Math.max(0, top - above * this.#rowHeight);
  }

  /** How many rows fit. */
  get page(): number {
    return Math.max(1, Math.floor(this.scroller.clientHeight / this.#rowHeight) - 1);
  }
}
