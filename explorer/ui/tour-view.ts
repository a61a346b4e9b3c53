/** The tour's words, above the calls: title, text, and the way to the stop before and after. */
import { count } from '../format.ts';
import { placeOfStop, stepOf } from '../location.ts';
import { type StatePart, type Tour, tours } from '../tours.ts';
import { byId, h } from './dom.ts';
import type { Host, Opened, View } from './view.ts';

type Button = 'back' | 'on' | 'return' | 'end';

export class TourView implements View {
  readonly #host: Host;
  readonly #root = byId('tour');
  #tour: Tour | null = null;
  #stop = 0;
  /** The stop's step, and the one that the page shows. */
  #step = 0;
  #shown = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Which stop is shown, from 1; null if no tour is on. */
  get at(): number | null {
    return this.#tour === null ? null : this.#stop + 1;
  }

  /** The stop's step; null if no tour is on. */
  get step(): number | null {
    return this.#tour === null ? null : this.#step;
  }

  /** A tour is on, and the page shows another step than the stop's. */
  get isAway(): boolean {
    return this.#tour !== null && this.#shown !== this.#step;
  }

  /** The chapter that this stop is about, if it isn't its function's own. */
  get chapter(): string | undefined {
    return this.#tour === null || this.isAway ? undefined : this.#tour.stops[this.#stop]!.chapter;
  }

  /** The part of the state that this stop is about. */
  get look(): StatePart | undefined {
    return this.#tour === null || this.isAway ? undefined : this.#tour.stops[this.#stop]!.look;
  }

  /** The tour of a trace, if it has one. */
  of({ steps }: Opened): Tour | null {
    return tours.find(({ scenario }) => scenario === steps.trace.scenario) ?? null;
  }

  end(): void {
    this.#tour = null;
    this.#root.hidden = true;
    this.#pointAt(undefined);
  }

  /** Where panels are tabs, the one of the state is marked while the words are about it. */
  #pointAt(part: StatePart | undefined): void {
    const tab = document.querySelector<HTMLElement>('[role=tab][data-for=state]')!;
    tab.classList.toggle('is-named', part !== undefined);
    if (part === undefined) tab.removeAttribute('title');
    else tab.title = 'The words of this stop are about what is here';
  }

  open(): void {
    this.end();
  }

  /** The page shows another step: the words say whether they are about it. */
  update(step: number): void {
    const changes = this.#shown !== step;
    this.#shown = step;
    if (this.#tour !== null && changes) this.#drawAway();
  }

  refresh(): void {}

  /** Go to a stop, from 1. Returns the step, or null if there is no such stop in this trace. */
  go(stop: number, opened: Opened): number | null {
    const tour = this.of(opened);
    if (tour === null) return null;
    const at = Math.max(0, Math.min(tour.stops.length - 1, stop - 1));
    try {
      const step = stepOf(placeOfStop(null, tour.stops[at]!), opened.steps);
      this.#tour = tour;
      this.#stop = at;
      this.#step = step;
      this.#shown = step;
      this.#draw();
      return step;
    } catch {
      // A trace of another version may lack a call.
      return null;
    }
  }

  #button(go: Button, label: string, key: string, act: () => void, disabled = false): HTMLElement {
    const made = h(
      'button',
      { type: 'button', class: go === 'on' || go === 'return' ? 'primary' : 'tool', 'data-go': go, disabled },
      label,
      ' ',
      h('kbd', { 'aria-hidden': 'true' }, key),
    );
    made.addEventListener('click', act);
    return made;
  }

  #draw(): void {
    const { scenario, stops, title, onwards } = this.#tour!;
    const { title: here, text } = stops[this.#stop]!;
    const focused = this.#root.contains(document.activeElement)
      ? document.activeElement?.getAttribute('data-go')
      : null;
    const last = this.#stop === stops.length - 1;
    const next = tours[tours.indexOf(this.#tour!) + 1];
    this.#root.hidden = false;
    this.#root.classList.toggle('is-last', last);
    this.#root.replaceChildren(
      h('p', { class: 'where-in-tour' }, `${title} · ${this.#stop + 1} of ${stops.length}`),
      h('h2', { id: 'tour-title' }, here),
      h('p', { class: 'tour-text', tabindex: '0' }, text),
      h('div', { id: 'tour-away' }),
      h(
        'p',
        { class: 'tour-onwards', hidden: !last },
        onwards !== undefined &&
          h('a', { class: 'primary', href: `#trace=${scenario}&with=${onwards.with}` }, onwards.title),
        next !== undefined &&
          h(
            'a',
            { class: onwards ? 'secondary' : 'primary', href: `#trace=${next.scenario}&tour=1` },
            `Next tour: ${next.title}`,
          ),
      ),
      h(
        'p',
        { class: 'tour-buttons' },
        this.#button('back', '← Back', '[', () => this.#host.tour(-1), this.#stop === 0),
        !last && this.#button('on', 'Next →', ']', () => this.#host.tour(1)),
        this.#button('end', 'End', 'Esc', () => this.#host.endTour()),
      ),
    );
    this.#drawAway();
    // whoever has just come goes on with Enter
    const focus = focused ?? (document.activeElement === document.body ? 'on' : null);
    if (focus)
      (this.#root.querySelector<HTMLElement>(`[data-go=${focus}]:enabled`) ?? this.#root.querySelector('a'))?.focus();
  }

  /** Whoever has stepped on by hand is told so, with the way back. */
  #drawAway(): void {
    this.#pointAt(this.look);
    const box = document.getElementById('tour-away')!;
    this.#root.classList.toggle('is-away', this.isAway);
    if (!this.isAway) {
      const hadFocus = box.contains(document.activeElement);
      box.replaceChildren();
      if (hadFocus) this.#root.querySelector<HTMLElement>('[data-go=on]')?.focus();
      return;
    }
    const by = this.#shown - this.#step;
    const where = `${count(Math.abs(by), 'step')} ${by > 0 ? 'past' : 'before'} this stop`;
    const says = `You are ${where}. Its words are about another call.`;
    const note = box.querySelector('p');
    // the button stays the same one, so that it keeps the focus
    if (note) note.textContent = says;
    else {
      box.append(
        h('p', { class: 'away' }, says),
        this.#button('return', 'Return', 'b', () => this.#host.returnToStop()),
      );
    }
  }
}
