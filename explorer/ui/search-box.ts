/** The search: a dialog with a field and what it finds; afterwards n and N go on. */
import { count } from '../format.ts';
import { callsIn, type Found, neighbour, Search } from '../search.ts';
import { byId, h } from './dom.ts';
import type { Host, Opened } from './view.ts';

export class SearchBox {
  readonly #host: Host;
  readonly #say: (text: string) => void;
  readonly #dialog = byId<HTMLDialogElement>('search');
  readonly #query = byId<HTMLInputElement>('query');
  readonly #results = byId('results');
  #search: Search | null = null;
  #found: Found[] = [];
  #chosen = 0;
  /** The reader chose one function of the list: n and N stay with it. */
  #byHand = false;
  /** What n and N go through, and what it is called. */
  #calls: number[] = [];
  #name = '';

  constructor(host: Host, say: (text: string) => void) {
    this.#host = host;
    this.#say = say;
    this.#query.addEventListener('input', () => this.#find());
    this.#query.addEventListener('keydown', (event) => this.#key(event));
    this.#dialog.addEventListener('click', (event) => {
      if (event.target === this.#dialog) this.#close();
    });
    this.#dialog.addEventListener('cancel', (event) => {
      event.preventDefault();
      this.#close();
    });
    this.#results.addEventListener('click', (event) => {
      const item = (event.target as Element).closest<HTMLElement>('[data-at]');
      if (item === null) return;
      this.#choose(Number(item.dataset.at));
      this.#enter();
    });
  }

  open({ steps }: Opened): void {
    this.#search = new Search(steps);
    this.#calls = [];
  }

  show(): void {
    if (this.#search === null || this.#dialog.open) return;
    this.#dialog.showModal();
    this.#query.select();
    this.#find();
  }

  #close(): void {
    this.#dialog.close();
    // Chromium takes the focus from a field that isn't shown any more with the next frame only: until then it would get
    // the keys that come.
    this.#query.blur();
  }

  /** Go to the next (1) or previous (-1) call of what was searched last. */
  next(direction: 1 | -1): void {
    if (this.#host.opened === null) return;
    if (this.#calls.length === 0) {
      this.#say('Nothing was searched yet: press /');
      return;
    }
    const { steps } = this.#host.opened;
    const call = neighbour(this.#calls, steps.spanAt(this.#host.step), direction)!;
    this.#goTo(call);
  }

  #goTo(call: number): void {
    const { steps } = this.#host.opened!;
    this.#host.go(steps.beginOf(call), 'jump');
    this.#say(`${this.#calls.indexOf(call) + 1} of ${count(this.#calls.length, 'call')} of ${this.#name}`);
  }

  #find(): void {
    this.#found = this.#search!.find(this.#query.value);
    this.#chosen = 0;
    this.#byHand = false;
    this.#draw();
  }

  #choose(at: number): void {
    if (this.#found.length === 0) return;
    this.#chosen = (at + this.#found.length) % this.#found.length;
    this.#byHand = true;
    this.#draw();
  }

  #draw(): void {
    const items = this.#found.map(({ fn, at, calls }, index) => {
      const letters = new Set(at);
      const name = h('span', {});
      for (let from = 0; from < fn.length; ) {
        const marked = letters.has(from);
        let to = from + 1;
        while (to < fn.length && letters.has(to) === marked) to++;
        const piece = fn.slice(from, to);
        name.append(marked ? h('mark', {}, piece) : piece);
        from = to;
      }
      return h(
        'div',
        {
          class: 'option',
          role: 'option',
          id: `found-${index}`,
          'data-at': index,
          'aria-selected': index === this.#chosen ? 'true' : 'false',
        },
        name,
        h('small', {}, count(calls.length, 'call')),
      );
    });
    if (items.length === 0 && this.#query.value.trim() !== '') {
      items.push(
        h('div', { class: 'option none', role: 'option', 'aria-disabled': 'true' }, 'No function has these letters'),
      );
    }
    this.#results.replaceChildren(...items);
    const chosen = document.getElementById(`found-${this.#chosen}`);
    if (chosen) {
      this.#query.setAttribute('aria-activedescendant', chosen.id);
      chosen.scrollIntoView({ block: 'nearest' });
    } else this.#query.removeAttribute('aria-activedescendant');
  }

  #key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === 'ArrowDown') this.#choose(this.#chosen + 1);
    else if (event.key === 'ArrowUp') this.#choose(this.#chosen - 1);
    else if (event.key === 'Enter') this.#enter();
    else return;
    event.preventDefault();
  }

  #enter(): void {
    const chosen = this.#found[this.#chosen];
    if (chosen === undefined) return;
    this.#calls = this.#byHand ? [...chosen.calls] : callsIn(this.#found);
    this.#name = this.#byHand || this.#found.length === 1 ? chosen.fn : `“${this.#query.value.trim()}”`;
    this.#close();
    const { steps } = this.#host.opened!;
    const here = steps.spanAt(this.#host.step);
    this.#goTo(neighbour(chosen.calls, here, 1)!);
  }
}
