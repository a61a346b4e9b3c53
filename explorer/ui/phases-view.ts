/** The phase chart: three phases, and the hooks that a request meets. */
import { count } from '../format.ts';
import { type HookState, PHASES, Phases } from '../phases.ts';
import { neighbour } from '../search.ts';
import { h } from './dom.ts';
import type { Host, Opened, View } from './view.ts';

const SAID: Record<HookState['state'], string> = {
  now: 'now',
  last: 'the latest',
  done: 'done',
  ahead: 'to come',
  absent: 'not called',
};

export class PhasesView implements View {
  readonly #host: Host;
  readonly #root: HTMLElement;
  #opened: Opened | null = null;
  #phases: Phases | null = null;
  #step = 0;
  #shown = '';

  constructor(host: Host, root: HTMLElement) {
    this.#host = host;
    this.#root = root;
  }

  open(opened: Opened): void {
    this.#opened = opened;
    this.#phases = new Phases(opened.steps);
    this.#shown = '';
  }

  refresh(): void {
    if (this.#opened) this.update(this.#step);
  }

  update(step: number): void {
    this.#step = step;
    const chart = this.#phases!.at(step);
    const key = JSON.stringify([chart.phase, chart.request, chart.hooks.map(({ state, calls }) => [state, calls])]);
    if (key === this.#shown) return;
    this.#shown = key;
    const focused = document.activeElement?.getAttribute('data-key');
    const now = PHASES.indexOf(chart.phase);
    this.#root.replaceChildren(
      ...PHASES.map((phase, at) => {
        const first = this.#phases!.first.get(phase);
        const button = h(
          'button',
          {
            type: 'button',
            class: 'phase-name',
            'data-key': phase,
            disabled: first === undefined,
            'aria-current': at === now ? 'step' : undefined,
          },
          h('span', {}, phase),
          h('small', {}, first === undefined ? 'nothing' : count(first.count, 'call')),
        );
        if (first) button.addEventListener('click', () => this.#jump(first.span));
        const className = `phase ${at === now ? 'is-now' : at < now ? 'is-done' : 'is-ahead'}`;
        return h('li', { class: className }, button, phase === 'request' && this.#hooks(chart));
      }),
    );
    if (focused) this.#root.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.#root.querySelector('.hook.is-now, .hook.is-last')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  #hooks({ hooks, request }: ReturnType<Phases['at']>): HTMLElement | false {
    if (hooks.length === 0) return false;
    const label = request !== null && request.of > 1 ? `request ${request.number} of ${request.of}` : null;
    // Hooks of failures that were not called would only make the chart longer.
    const shown = hooks.filter(
      ({ kind, state, calls }) => kind !== 'failure' || state !== 'absent' || calls.length > 0,
    );
    return h(
      'div',
      { class: 'hooks' },
      label !== null && h('span', { class: 'which' }, label),
      h('ol', { 'aria-label': 'Hooks of a request, in order' }, ...shown.map((hook) => this.#hook(hook))),
    );
  }

  #hook({ name, state, isOwn, kind, calls }: HookState): HTMLElement {
    const button = h(
      'button',
      {
        type: 'button',
        class: 'hook-name',
        'data-key': name,
        disabled: calls.length === 0,
        title: `${name}: ${SAID[state]}${isOwn ? ', overridden by the application' : ''}${calls.length > 1 ? `, ${calls.length} times` : ''}`,
        'aria-current': state === 'now' ? 'step' : undefined,
        'aria-label': `${name}${calls.length > 1 ? ` ×${calls.length}` : ''}, ${SAID[state]}`,
      },
      name,
      calls.length > 1 && h('sup', {}, `×${calls.length}`),
    );
    button.addEventListener('click', () => {
      const { steps } = this.#opened!;
      const here = steps.spanAt(this.#step);
      this.#jump(calls.includes(here) ? neighbour(calls, here, 1)! : calls[0]!);
    });
    return h('li', { class: `hook is-${state} kind-${kind}${isOwn ? ' is-own' : ''}` }, button);
  }

  #jump(span: number): void {
    this.#host.go(this.#opened!.steps.beginOf(span), 'jump');
  }
}
