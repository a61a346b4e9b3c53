/** The tour's words, above the card: title, text, and the way to the stop before and after. */
import { placeOfStop, stepOf } from '../location.ts';
import { type Tour, tours } from '../tours.ts';
import { byId, h } from './dom.ts';
import type { Host, Opened } from './view.ts';

export class TourView {
  readonly #host: Host;
  readonly #root = byId('tour');
  #tour: Tour | null = null;
  #stop = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Which stop is shown, from 1; null if no tour is on. */
  get at(): number | null {
    return this.#tour === null ? null : this.#stop + 1;
  }

  /** The tour of a trace, if it has one. */
  of({ steps }: Opened): Tour | null {
    return tours.find(({ scenario }) => scenario === steps.trace.scenario) ?? null;
  }

  end(): void {
    this.#tour = null;
    this.#root.hidden = true;
  }

  /** Go to a stop, from 1. Returns the step, or null if there is no such stop in this trace. */
  go(stop: number, opened: Opened): number | null {
    const tour = this.of(opened);
    if (tour === null) return null;
    const at = Math.max(0, Math.min(tour.stops.length - 1, stop - 1));
    try {
      const step = stepOf(placeOfStop(null, tour.stops[at]!), opened.steps);
      this.#tour = tour;
      this.#stop = at;
      this.#draw();
      return step;
    } catch {
      // A trace of another version may lack a call.
      return null;
    }
  }

  #draw(): void {
    const { stops, title, onwards } = this.#tour!;
    const { title: here, text } = stops[this.#stop]!;
    const focused = this.#root.contains(document.activeElement)
      ? document.activeElement?.getAttribute('data-go')
      : null;
    const button = (go: 'back' | 'on' | 'end', label: string, key: string, by: number | null, disabled = false) => {
      const made = h(
        'button',
        { type: 'button', class: go === 'on' ? 'primary' : 'tool', 'data-go': go, disabled },
        label,
        ' ',
        h('kbd', { 'aria-hidden': 'true' }, key),
      );
      made.addEventListener('click', () => (by === null ? this.#host.endTour() : this.#host.tour(by)));
      return made;
    };
    const last = this.#stop === stops.length - 1;
    const next = tours[tours.indexOf(this.#tour!) + 1];
    this.#root.hidden = false;
    this.#root.replaceChildren(
      h('p', { class: 'where-in-tour' }, `${title} · ${this.#stop + 1} of ${stops.length}`),
      h('h2', { id: 'tour-title' }, here),
      h('p', { class: 'tour-text' }, text),
      h(
        'p',
        { class: 'tour-buttons' },
        button('back', '← Back', '[', -1, this.#stop === 0),
        !last && button('on', 'Next →', ']', 1),
        last &&
          onwards !== undefined &&
          h('a', { class: 'primary', href: `#trace=${this.#tour!.scenario}&with=${onwards.with}` }, onwards.title),
        last &&
          next !== undefined &&
          h(
            'a',
            { class: onwards ? 'tool' : 'primary', href: `#trace=${next.scenario}&tour=1` },
            `Next tour: ${next.title}`,
          ),
        button('end', 'End the tour', 'Esc', null),
      ),
    );
    // whoever has just come goes on with Enter
    const focus = focused ?? (document.activeElement === document.body ? 'on' : null);
    if (focus)
      (this.#root.querySelector<HTMLElement>(`[data-go=${focus}]:enabled`) ?? this.#root.querySelector('a'))?.focus();
  }
}
