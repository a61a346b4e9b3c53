/** The list of traces on the start page, and the one in the bar. */
import { count, duration } from '../format.ts';
import { formatPlace } from '../location.ts';
import { COMPARE, COURSE, tours } from '../tours.ts';
import { RECORD } from './compare-view.ts';
import { byId, h } from './dom.ts';
import type { RequestsView } from './requests-view.ts';
import type { Entry, Store } from './store.ts';

/** Scenarios in the order in which one learns them, the others after them. */
function inCourse(entries: Entry[]): Entry[] {
  const place = ({ key, kind }: Entry) => {
    const at = kind === 'embedded' ? COURSE.indexOf(key) : -1;
    return at < 0 ? COURSE.length : at;
  };
  return entries.sort((a, b) => place(a) - place(b));
}

/** The tours, the first one as a large button. */
function showTours(store: Store, live: boolean): void {
  const there = live ? [] : tours.filter(({ scenario }) => store.entries.has(scenario));
  const box = byId('tours');
  box.hidden = there.length === 0;
  byId('list-title').hidden = there.length === 0;
  const [first, ...others] = there;
  if (first === undefined) return;
  const href = (scenario: string) => `#trace=${scenario}&tour=1`;
  box.replaceChildren(
    h(
      'a',
      { class: 'start-tour', href: href(first.scenario), id: 'start-tour' },
      h('b', {}, `Start here: ${first.title.toLowerCase()}`),
      h('span', {}, `${first.about} ${first.stops.length} stops, about ten minutes.`),
    ),
    h(
      'ul',
      { class: 'plain', 'aria-label': 'More tours' },
      ...others.map(({ scenario, title, about }) =>
        h('li', {}, h('a', { href: href(scenario) }, title), h('span', {}, about)),
      ),
    ),
  );
}

/** What a trace can be compared with, each with what it is: what teaches most first. */
export function showComparable(all: readonly Entry[], key: string, scenario: string): void {
  const others = all.filter((entry) => entry.key !== key);
  const record = others.filter((entry) => entry.key === `${RECORD}${scenario}`);
  const worth = COMPARE.get(scenario) ?? [];
  const near = worth.flatMap((name) => others.filter((entry) => entry.kind === 'embedded' && entry.key === name));
  const rest = inCourse(others.filter((entry) => entry.kind !== 'record' && !near.includes(entry)));
  const row = (entry: Entry) => {
    const isRecord = entry.kind === 'record';
    const about = isRecord ? 'the same scenario, recorded from the Rust original' : (entry.about ?? entry.key);
    const href = formatPlace({ trace: key, with: entry.key });
    return h('li', {}, h('a', { href }, h('b', {}, entry.name), h('span', {}, about)));
  };
  const list = (title: string, entries: readonly Entry[]) =>
    entries.length === 0 ? [] : [h('h3', {}, title), h('ul', { class: 'choices' }, ...entries.map(row))];
  const about = all.find((entry) => entry.key === key)?.about ?? scenario;
  byId('compare-about').textContent =
    `${scenario} (${about}) on the left, what you choose on the right; calls that only one has are marked.`;
  byId('compare-list').replaceChildren(
    ...list('The original', record),
    ...list('Worth a look', near),
    ...list(near.length + record.length === 0 ? 'All traces' : 'All others', rest),
  );
  byId('compare-with').scrollTop = 0;
}

/** Bring both up to date. `key`: what is open; `requests`: where traces that come by themselves are listed. */
export function showLists(
  store: Store,
  key: string | null,
  requests: RequestsView | null,
  open: (entry: Entry) => void,
): void {
  const live = requests !== null;
  const all = inCourse([...store.entries.values()].filter(({ kind }) => kind !== 'record'));
  showTours(store, live);
  // The newest request of a running server comes first.
  const entries = [
    ...all.filter(({ kind }) => kind === 'live').reverse(),
    ...all.filter(({ kind }) => kind !== 'live'),
  ];
  requests?.show(all.filter(({ kind }) => kind === 'live'));
  const listed = entries.filter(({ kind }) => kind !== 'live');
  const facts = ({ spans, micros }: Entry) =>
    [spans !== null && count(spans, 'call'), micros !== null && duration(micros)].filter(Boolean).join(' · ');
  byId('list').hidden = listed.length === 0;
  byId('list').replaceChildren(
    ...listed.map((entry) => {
      const button = h(
        'button',
        { type: 'button' },
        h('b', {}, entry.name),
        h('span', {}, entry.about ?? ''),
        h('small', {}, facts(entry)),
      );
      button.addEventListener('click', () => open(entry));
      return h('li', {}, button);
    }),
  );
  const select = byId<HTMLSelectElement>('traces');
  // A list that is open would close under the reader's hand: it is brought up to date when it is left.
  if (document.activeElement === select && live) {
    select.value = key ?? '';
    return;
  }
  const option = (entry: Entry) => h('option', { value: entry.key, selected: entry.key === key }, entry.name);
  const groups = (['embedded', 'live', 'file'] as const).flatMap((kind) => {
    const some = entries.filter((entry) => entry.kind === kind);
    if (some.length === 0) return [];
    const label = { embedded: 'Scenarios', live: 'Running server', file: 'Files' }[kind];
    return [h('optgroup', { label }, ...some.map(option))];
  });
  const none = h('option', { value: '', selected: key === null }, 'All traces');
  select.replaceChildren(none, ...groups);
  select.value = key ?? '';
}
