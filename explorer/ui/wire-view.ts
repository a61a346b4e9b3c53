/** The wire: client, proxy and origin, and the bytes and frames between them up to the step. */
import { bytesLines, hexLines, isText } from '../../src/formats/wire.ts';
import { count } from '../format.ts';
import { Happened, type WireEvent } from '../happened.ts';
import { byId, h } from './dom.ts';
import type { Host, Opened, View } from './view.ts';

/** So many events show at first, and so many more when asked. */
const SHOWN = 30;
/** So many lines of one event's bytes show at first. */
const LINES = 14;

export class WireView implements View {
  readonly #host: Host;
  readonly #root = byId('wire');
  #opened: Opened | null = null;
  #happened: Happened | null = null;
  #step = 0;
  #most = SHOWN;
  #asHex = false;
  /** The elements of events: most that show at one step show at the next. */
  #made = new Map<WireEvent, HTMLElement>();

  constructor(host: Host) {
    this.#host = host;
    byId('as-text').addEventListener('click', () => this.setHex(false));
    byId('as-hex').addEventListener('click', () => this.setHex(true));
    this.#root.addEventListener('click', (event) => {
      const target = (event.target as Element).closest<HTMLElement>('[data-span]');
      if (target && this.#opened) this.#host.go(this.#opened.steps.beginOf(Number(target.dataset.span)), 'jump');
    });
  }

  setHex(on = !this.#asHex): void {
    this.#asHex = on;
    byId('as-text').setAttribute('aria-pressed', String(!on));
    byId('as-hex').setAttribute('aria-pressed', String(on));
    this.#made.clear();
    this.refresh();
  }

  open(opened: Opened): void {
    this.#opened = opened;
    this.#happened = new Happened(opened.steps);
    this.#most = SHOWN;
    this.#made.clear();
  }

  refresh(): void {
    if (this.#opened) this.update(this.#step);
  }

  update(step: number): void {
    this.#step = step;
    if (this.#root.clientHeight === 0 && document.body.dataset.tab !== 'wire') return;
    const happened = this.#happened!;
    const { events, earlier } = happened.wire(step, this.#most);
    const now = this.#opened!.steps.spanAt(step);
    const rows: Node[] = [];
    if (earlier > 0) {
      const more = h('button', { type: 'button', class: 'link' }, `${count(earlier, 'earlier one')}`);
      more.addEventListener('click', () => {
        this.#most += SHOWN * 4;
        this.refresh();
      });
      rows.push(h('p', { class: 'earlier' }, more));
    }
    const made = new Map<WireEvent, HTMLElement>();
    for (const event of events) {
      const row = this.#made.get(event) ?? this.#row(event);
      row.classList.toggle('is-now', happened.spanOf(event) === now);
      made.set(event, row);
      rows.push(row);
    }
    this.#made = made;
    if (events.length === 0) {
      const none = happened.hasEvents
        ? 'Nothing has passed yet.'
        : 'This trace has no bytes: it was recorded without them.';
      rows.push(h('p', { class: 'empty' }, none));
    }
    this.#root.replaceChildren(...rows);
    this.#root.scrollTop = this.#root.scrollHeight;
  }

  #row(event: WireEvent): HTMLElement {
    const happened = this.#happened!;
    const { side, peer } = happened.connections.find(({ id }) => id === event.connection)!;
    const span = happened.spanOf(event);
    const fn = span === null ? null : this.#opened!.steps.spans[span]!.fn;
    const who = side === 'downstream' ? 'client' : 'origin';
    const says = event.way === 'in' ? `${who} → proxy` : `proxy → ${who}`;
    const size =
      event.kind === 'bytes'
        ? count(event.length, 'byte')
        : `${event.type} · stream ${event.stream} · ${count(event.length, 'byte')}`;
    return h(
      'article',
      { class: `message is-${side} is-${event.way}`, 'aria-label': `${says}, ${size}` },
      h(
        'header',
        {},
        h('b', { title: `connection ${event.connection}${peer === null ? '' : `, ${peer}`}` }, says),
        h('small', {}, size),
      ),
      event.kind === 'bytes' ? this.#bytes(event.bytes, event.length) : this.#frame(event),
      span !== null && h('button', { type: 'button', class: 'link', 'data-span': span }, fn!),
    );
  }

  #bytes(bytes: string | undefined, length: number): HTMLElement {
    if (bytes === undefined) return h('p', { class: 'none' }, 'not kept');
    const lines = this.#asHex ? hexLines(bytes) : bytesLines(bytes);
    const shown = lines.slice(0, LINES);
    const pre = h('pre', { class: this.#asHex || !isText(bytes) ? 'hex' : 'text' }, shown.join('\n'));
    const rest = lines.length - shown.length;
    if (rest > 0) {
      const more = h('button', { type: 'button', class: 'link' }, `${count(rest, 'more line')}`);
      more.addEventListener('click', () => {
        pre.textContent = lines.join('\n');
        more.remove();
      });
      return h('div', {}, pre, more);
    }
    if (bytes.length < length)
      return h('div', {}, pre, h('p', { class: 'none' }, `${count(length - bytes.length, 'byte')} not kept`));
    return pre;
  }

  #frame({ flags, facts = {} }: Extract<WireEvent, { kind: 'frame' }>): HTMLElement {
    const lines = Object.entries(facts).flatMap(([name, value]) =>
      Array.isArray(value) ? value : [`${name}: ${String(value)}`],
    );
    return h(
      'div',
      {},
      flags.length > 0 && h('p', { class: 'flags' }, ...flags.map((flag) => h('span', { class: 'chip' }, flag))),
      lines.length > 0 && h('pre', { class: 'text' }, lines.join('\n')),
    );
  }
}
