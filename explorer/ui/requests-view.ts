/** The requests of a running server on the start page, the newest first, and what narrows them down. */
import { duration } from '../format.ts';
import { formatPlace } from '../location.ts';
import { isWanted, type Wanted } from '../requests.ts';
import { byId, h } from './dom.ts';
import type { Entry } from './store.ts';

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

function rowOf({ key, name, request, spans }: Entry): HTMLTableRowElement {
  const status = request?.status ?? null;
  const failed = request !== null && (status === null || status >= 500);
  return h(
    'tr',
    {},
    h('td', { class: 'number' }, request === null ? '–' : clock.format(request.time)),
    h('td', {}, request === null ? '' : request.method),
    h('td', { class: 'path' }, h('a', { href: formatPlace({ trace: key }) }, request === null ? name : request.path)),
    h('td', { class: failed ? 'number failed' : 'number' }, request === null ? '–' : String(status ?? 'none')),
    h('td', { class: 'number' }, request === null ? '–' : duration(request.ms * 1000)),
    h('td', { class: 'number' }, spans === null ? '–' : spans.toLocaleString('en')),
  );
}

/** A row keeps its place in the page as long as it is listed: a reader may be on it with the keyboard. */
export class RequestsView {
  readonly #rows = new Map<string, { row: HTMLTableRowElement; entry: Entry }>();
  readonly #body = byId('requests-rows');
  readonly #fields = ['status', 'path', 'slower'].map((name) => byId<HTMLInputElement>(`wanted-${name}`));

  constructor() {
    for (const field of this.#fields) field.addEventListener('input', () => this.#narrow());
    byId('wanted').addEventListener('submit', (event) => event.preventDefault());
    byId('wanted').addEventListener('reset', () => setTimeout(() => this.#narrow()));
  }

  /** `entries`: what is listed, the oldest first. */
  show(entries: readonly Entry[]): void {
    byId('requests').hidden = false;
    const listed = new Set(entries.map(({ key }) => key));
    for (const [key, { row }] of this.#rows) {
      if (listed.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    const come = entries.filter(({ key }) => !this.#rows.has(key));
    for (const entry of come) this.#rows.set(entry.key, { row: rowOf(entry), entry });
    this.#body.prepend(...come.map(({ key }) => this.#rows.get(key)!.row).reverse());
    this.#narrow();
  }

  #narrow(): void {
    const [status = '', path = '', slower = ''] = this.#fields.map(({ value }) => value);
    const wanted: Wanted = { status, path, slower };
    let shown = 0;
    for (const { row, entry } of this.#rows.values()) {
      row.hidden = !isWanted(entry.request, wanted);
      if (!row.hidden) shown++;
    }
    const all = this.#rows.size;
    const none = 'No request yet: each is listed here as it ends';
    byId('requests-count').textContent =
      all === 0 ? none : shown === all ? `${all} requests` : `${shown} of ${all} requests`;
  }
}
