/** The state at the step: tasks, channels, state machines, pools and connections. */
import { Happened, type State } from '../happened.ts';
import type { StatePart } from '../tours.ts';
import { byId, h, hueOf } from './dom.ts';
import type { Host, Opened, View } from './view.ts';

/** So many tasks are listed; the first of those that are over are left out. */
const TASKS = 40;

/** What the two state machines keep track of. */
const MACHINES: Readonly<Record<string, string>> = {
  downstream: 'request from the client',
  response: 'response to the client',
};

export class StateView implements View {
  readonly #host: Host;
  readonly #root = byId('state');
  #opened: Opened | null = null;
  #happened: Happened | null = null;
  #step = 0;

  constructor(host: Host) {
    this.#host = host;
    this.#root.addEventListener('click', (event) => {
      const target = (event.target as Element).closest<HTMLElement>('[data-span]');
      if (target && this.#opened) this.#host.go(this.#opened.steps.beginOf(Number(target.dataset.span)), 'jump');
    });
  }

  open(opened: Opened): void {
    this.#opened = opened;
    this.#happened = new Happened(opened.steps);
  }

  refresh(): void {
    if (this.#opened) this.update(this.#step);
  }

  update(step: number): void {
    this.#step = step;
    if (this.#root.clientHeight === 0 && document.body.dataset.tab !== 'state') return;
    const state = this.#happened!.state(step);
    // words that name the channels come before anything has passed through them
    if (state.channels.length === 0 && this.#host.partOfStop() === 'channels') {
      state.channels = this.#happened!.emptyChannels();
    }
    const parts = [
      this.#tasks(state),
      this.#channels(state),
      this.#machines(state),
      this.#pools(state),
      this.#connections(state),
    ];
    this.#root.replaceChildren(...parts.filter((part) => part !== false));
    this.#look();
  }

  /** Mark and show what the step is about: the part that a tour's words name, or what this very call has changed. */
  #look(): void {
    const part = this.#host.partOfStop();
    const marked =
      part === undefined
        ? this.#root.querySelector<HTMLElement>('li.is-now')
        : this.#root.querySelector<HTMLElement>(`[data-part=${part}]`);
    if (part !== undefined) marked?.classList.add('is-looked-at');
    const section = marked?.closest('section');
    if (!section) return;
    this.#root.scrollTop += section.getBoundingClientRect().top - this.#root.getBoundingClientRect().top - 8;
  }

  #now(span: number | null): string {
    return span !== null && span === this.#opened!.steps.spanAt(this.#step) ? ' is-now' : '';
  }

  /** A link to a call. */
  #call(span: number | null): HTMLElement | false {
    if (span === null) return false;
    return h('button', { type: 'button', class: 'link', 'data-span': span }, this.#opened!.steps.spans[span]!.fn);
  }

  #part(part: StatePart, title: string, rows: Node[]): HTMLElement | false {
    return rows.length === 0 ? false : h('section', { 'data-part': part }, h('h3', {}, title), h('ul', {}, ...rows));
  }

  #tasks({ tasks }: State): HTMLElement | false {
    const over = tasks.filter(({ state }) => state === 'over').length;
    const listed = tasks.length <= TASKS ? tasks : tasks.filter(({ state }) => state !== 'over').slice(-TASKS);
    const left = tasks.length - listed.length;
    const rows: Node[] = listed.map(({ id, name, state, span, wokenBy }) =>
      h(
        'li',
        { class: `task is-${state}`, style: `--hue:${hueOf(id)}` },
        h('b', {}, `${id} ${name}`),
        h('span', { class: 'how' }, state === 'waiting' ? 'waits in' : state === 'running' ? 'runs' : 'is over'),
        this.#call(span),
        state === 'running' && wokenBy !== null && h('small', {}, `woken by ${wokenBy}`),
      ),
    );
    if (left > 0) rows.unshift(h('li', { class: 'none' }, `${left} more, ${over} of all are over`));
    return this.#part('tasks', 'Tasks', rows);
  }

  #channels({ channels }: State): HTMLElement | false {
    return this.#part(
      'channels',
      'Channels between the halves',
      channels.map(({ name, depth, capacity, closed, span }) =>
        h(
          'li',
          { class: `channel${this.#now(span)}` },
          h('b', {}, name === 'request' ? 'client → origin' : name === 'response' ? 'origin → client' : name),
          h(
            'span',
            { class: 'places', role: 'img', 'aria-label': `${depth} of ${capacity} places taken` },
            ...Array.from({ length: capacity }, (_, i) => h('i', { class: i < depth ? 'is-taken' : '' })),
          ),
          h('small', {}, closed ? 'closed' : `${depth} of ${capacity}`),
          this.#call(span),
        ),
      ),
    );
  }

  #machines({ machines }: State): HTMLElement | false {
    return this.#part(
      'machines',
      'State machines',
      machines.map(({ name, state, span }) =>
        h(
          'li',
          { class: this.#now(span) },
          h('b', {}, Object.hasOwn(MACHINES, name) ? MACHINES[name]! : name),
          h('span', { class: 'chip' }, state),
          this.#call(span),
        ),
      ),
    );
  }

  #pools({ pools }: State): HTMLElement | false {
    const did: Record<string, string> = {
      put: 'one was put in',
      get: 'one was taken',
      miss: 'none was there',
      evict: 'one was evicted',
      close: 'one was closed',
    };
    return this.#part(
      'pool',
      'Pool of connections',
      pools.map(({ size, what, key, span }) =>
        h(
          'li',
          { class: this.#now(span) },
          h('b', {}, `${size} ${size === 1 ? 'waits' : 'wait'}`),
          h('small', {}, `${Object.hasOwn(did, what) ? did[what] : what}: ${key}`),
          this.#call(span),
        ),
      ),
    );
  }

  #connections({ connections }: State): HTMLElement | false {
    return this.#part(
      'connections',
      'Connections',
      connections.map(({ id, side, peer, read, wrote }) =>
        h(
          'li',
          { class: `connection is-${side}` },
          h('b', {}, `${id} ${side === 'downstream' ? 'client' : 'origin'}`),
          h('code', {}, peer ?? 'Unix socket'),
          h('small', {}, `${read} read, ${wrote} written`),
        ),
      ),
    );
  }
}
