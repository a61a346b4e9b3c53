/** The keys, what they do, and the list of them that `?` shows. */
import { h } from './dom.ts';
import type { Tab } from './page.ts';

export interface Key {
  says: string;
  /** By `KeyboardEvent.key`; `Shift+ArrowLeft` and the like for those with Shift that make no other letter. */
  does: Record<string, () => void>;
}

/** What the buttons at the bottom do too. */
export type Moves = Record<'first' | 'back' | 'play' | 'into' | 'over' | 'out' | 'last', () => void>;

/** What keys can do. Directions are 1 and -1. */
export interface Actions extends Moves {
  /** Any event, the end of a call among them. */
  next(): void;
  previous(): void;
  otherEnd(): void;
  search(): void;
  found(direction: 1 | -1): void;
  row(by: 1 | -1): void;
  page(by: 1 | -1): void;
  fold(): void;
  unfold(): void;
  tab(tab: Tab): void;
  zoom(factor: number): void;
  fit(): void;
  scale(): void;
  scroll(across: number, down: number): void;
  copy(): void;
  choose(): void;
  theme(): void;
  help(): void;
  level(): void;
  /** Another stop of the tour. */
  stop(by: 1 | -1): void;
  endTour(): void;
  returnToStop(): void;
  hex(): void;
  caller(): void;
  rust(): void;
  compare(): void;
}

const CLOSER = 1.6;

export function keyTable(act: Actions): Key[] {
  return [
    { says: 'step in: the next call', does: { ArrowRight: act.into } },
    { says: 'step over this call', does: { ArrowDown: act.over } },
    { says: 'back: the call before', does: { ArrowLeft: act.back } },
    { says: 'out: to the caller', does: { ArrowUp: act.out } },
    { says: 'first and last step', does: { Home: act.first, End: act.last } },
    { says: 'play, stop', does: { ' ': act.play } },
    { says: 'next and previous event, returns among them', does: { '.': act.next, ',': act.previous } },
    { says: 'between the begin and the end of this call', does: { e: act.otherEnd } },
    { says: 'search a function or a value', does: { '/': act.search } },
    { says: 'next and previous call that was found', does: { n: () => act.found(1), N: () => act.found(-1) } },
    { says: 'next and previous row of the tree', does: { j: () => act.row(1), k: () => act.row(-1) } },
    { says: 'a page of the tree', does: { PageDown: () => act.page(1), PageUp: () => act.page(-1) } },
    { says: 'fold or unfold this call', does: { f: act.fold, Enter: act.fold } },
    { says: 'unfold everything', does: { u: act.unfold } },
    {
      says: 'to the calls, the code, the lanes, the phases, the wire, the state',
      does: {
        1: () => act.tab('calls'),
        2: () => act.tab('code'),
        3: () => act.tab('lanes'),
        4: () => act.tab('phases'),
        5: () => act.tab('wire'),
        6: () => act.tab('state'),
      },
    },
    {
      says: 'lanes: everything, closer, further away',
      does: { 0: act.fit, '+': () => act.zoom(CLOSER), '-': () => act.zoom(1 / CLOSER) },
    },
    { says: 'lanes: by time or by steps', does: { s: act.scale } },
    {
      says: 'scroll the lanes, or the code if it has the focus',
      does: {
        'Shift+ArrowLeft': () => act.scroll(-1, 0),
        'Shift+ArrowRight': () => act.scroll(1, 0),
        'Shift+ArrowUp': () => act.scroll(0, -1),
        'Shift+ArrowDown': () => act.scroll(0, 1),
      },
    },
    {
      says: 'the tour: next stop, the stop before; starts it',
      does: { ']': () => act.stop(1), '[': () => act.stop(-1) },
    },
    { says: 'return to the tour’s stop after stepping on', does: { b: act.returnToStop } },
    { says: 'end the tour', does: { Escape: act.endTour } },
    { says: 'main path, phases, everything', does: { l: act.level } },
    { says: 'bytes as text or in hexadecimal', does: { x: act.hex } },
    { says: 'the caller, at the line of the call; or what is called', does: { v: act.caller } },
    { says: 'Pingora’s Rust beside the code', does: { r: act.rust } },
    { says: 'compare with another trace', does: { m: act.compare } },
    { says: 'copy a link to this call', does: { c: act.copy } },
    { says: 'open a file', does: { o: act.choose } },
    { says: 'light or dark', does: { t: act.theme } },
    { says: 'these keys', does: { '?': act.help } },
  ];
}

const SHOWN = new Map([
  ['ArrowRight', '→'],
  ['ArrowLeft', '←'],
  ['ArrowUp', '↑'],
  ['ArrowDown', '↓'],
  [' ', 'space'],
]);

const shown = (key: string) => SHOWN.get(key) ?? key;

/** The names of keys; those with Shift are told in one. */
function names(keys: string[]): string[] {
  const shifted = keys.filter((key) => key.startsWith('Shift+')).map((key) => shown(key.slice('Shift+'.length)));
  const plain = keys.filter((key) => !key.startsWith('Shift+')).map(shown);
  return shifted.length === 0 ? plain : [...plain, 'Shift', shifted.join(' ')];
}

export function listKeys(keys: readonly Key[]): HTMLElement[] {
  return keys.flatMap(({ does, says }) => [
    h('dt', {}, ...names(Object.keys(does)).map((name) => h('kbd', {}, name))),
    h('dd', {}, says),
  ]);
}

/** Whoever writes or chooses there needs the keys. */
function wantsKeys(target: Element | null, key: string): boolean {
  if (target === null) return false;
  if (target.closest('dialog[open], textarea, select, input:not([type=range])')) return true;
  return (key === ' ' || key === 'Enter') && target.closest('button, a[href]') !== null;
}

export function listen(keys: readonly Key[]): void {
  const byKey = new Map(keys.flatMap(({ does }) => Object.entries(does)));
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const { key, shiftKey } = event;
    const name = shiftKey && key.startsWith('Arrow') ? `Shift+${key}` : key;
    const run = byKey.get(name);
    if (run === undefined || document.querySelector('dialog[open]')) return;
    if (wantsKeys(event.target as Element | null, key)) return;
    event.preventDefault();
    run();
  });
}
