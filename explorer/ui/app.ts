/** The page: one trace, one current step, and panels that follow it. */
import type { Embedded } from '../embedded.ts';
import { count } from '../format.ts';
import { formatPlace, type Place, parsePlace, placeByName, stepOf } from '../location.ts';
import { Steps } from '../steps.ts';
import type { TraceDocument } from '../trace.ts';
import { Tree } from '../tree.ts';
import { CodeView } from './code-view.ts';
import { byId, onceAFrame } from './dom.ts';
import { type Key, keyTable, listen, listKeys, type Moves } from './keys.ts';
import { LanesView } from './lanes-view.ts';
import { showLists } from './lists.ts';
import { watchLive } from './live-server.ts';
import { onFiles, showProblem, showTab, showToast, type Tab, toggleTheme } from './page.ts';
import { PhasesView } from './phases-view.ts';
import { SearchBox } from './search-box.ts';
import { type Entry, loadSources, Store } from './store.ts';
import { TreeView } from './tree-view.ts';
import type { Host, Opened, View } from './view.ts';

/** Between two steps of play. */
const BEAT_MS = 420;
/** The address follows at most so often: browsers refuse more than about a hundred changes in half a minute. */
const ADDRESS_MS = 350;

class App implements Host {
  opened: Opened | null = null;
  step = 0;
  /** The key of what is open. */
  #key: string | null = null;
  readonly #store: Store;
  readonly #tree: TreeView;
  readonly #code: CodeView;
  readonly #lanes: LanesView;
  readonly #search: SearchBox;
  readonly #views: View[];
  readonly #live = new URLSearchParams(location.search).has('live');
  readonly #listChanged = onceAFrame(() => this.#showList());
  #opening = 0;
  #playing: ReturnType<typeof setInterval> | undefined;
  #addressing: ReturnType<typeof setTimeout> | undefined;
  #saying: ReturnType<typeof setTimeout> | undefined;

  constructor(index: readonly Embedded[]) {
    this.#store = new Store(index);
    this.#tree = new TreeView(this, byId('tree'));
    this.#code = new CodeView(this);
    this.#lanes = new LanesView(this, byId<HTMLCanvasElement>('lanes'));
    this.#search = new SearchBox(this, showToast);
    this.#views = [this.#tree, this.#code, this.#lanes, new PhasesView(this, byId('phases'))];
    this.#wire();
    this.#showList();
    if (this.#live) this.#watch();
    this.#follow();
  }

  // ---- going from step to step

  go(step: number, how: 'walk' | 'jump' = 'walk'): void {
    if (this.opened === null) return;
    const { steps } = this.opened;
    const next = steps.clamp(step);
    if (next === this.step && how === 'walk') return;
    const moved = next !== this.step;
    if (how === 'jump') {
      this.#writeAddress();
      this.step = next;
      if (moved) history.pushState(null, '', formatPlace(this.#place()));
    } else {
      this.step = next;
      this.#addressing ??= setTimeout(() => this.#writeAddress(), ADDRESS_MS);
    }
    this.#update();
  }

  #place(): Place {
    return { trace: this.#key, step: this.step + 1 };
  }

  /** Bring the address up to date now, if a walk has left it behind. */
  #writeAddress(): void {
    if (this.#addressing === undefined) return;
    clearTimeout(this.#addressing);
    this.#addressing = undefined;
    if (this.opened) history.replaceState(null, '', formatPlace(this.#place()));
  }

  #update(): void {
    const { steps } = this.opened!;
    for (const view of this.#views) view.update(this.step);
    const { fn, task } = steps.spans[steps.spanAt(this.step)]!;
    const what = steps.isEnd(this.step) ? 'returns' : 'calls';
    const slider = byId<HTMLInputElement>('slider');
    slider.value = String(this.step + 1);
    slider.setAttribute('aria-valuetext', `${this.step + 1} of ${steps.count}: ${what} ${fn}`);
    byId('counter').textContent = `step ${(this.step + 1).toLocaleString('en')} of ${steps.count.toLocaleString('en')}`;
    byId('now').textContent = `${steps.isEnd(this.step) ? '↩ ' : ''}${fn}`;
    document.title = `${steps.trace.scenario}, step ${this.step + 1} – Trace explorer`;
    // The tree says itself where it is as long as it has the focus.
    clearTimeout(this.#saying);
    if (document.activeElement?.id === 'tree') return;
    const { name } = steps.trace.tasks.find(({ id }) => id === task)!;
    this.#saying = setTimeout(() => (byId('said').textContent = `${what} ${fn}, task ${name}`), 300);
  }

  #walk(next: (steps: Steps) => number, how?: 'walk' | 'jump'): void {
    if (this.opened) this.go(next(this.opened.steps), how);
  }

  /** The current call's other end. */
  #otherEnd(steps: Steps): number {
    const span = steps.spanAt(this.step);
    return steps.isEnd(this.step) ? steps.beginOf(span) : (steps.endOf(span) ?? this.step);
  }

  #row(by: number): void {
    if (this.opened === null) return;
    const { steps, tree } = this.opened;
    const row = tree.rowOf(steps.spanAt(this.step))! + by;
    const span = tree.rows[Math.max(0, Math.min(tree.rows.length - 1, row))]!;
    this.go(steps.beginOf(span));
  }

  #play(on = this.#playing === undefined): void {
    clearInterval(this.#playing);
    this.#playing = undefined;
    byId('play').setAttribute('aria-pressed', String(on));
    byId('play').setAttribute('aria-label', on ? 'Stop' : 'Play');
    if (!on || this.opened === null) return;
    this.#playing = setInterval(() => {
      const { steps } = this.opened!;
      if (this.step >= steps.count - 1) this.#play(false);
      else this.go(steps.into(this.step));
    }, BEAT_MS);
  }

  // ---- opening

  #follow(): void {
    const place = parsePlace(location.hash);
    if (place.trace === null) {
      if (this.opened === null || place.step === undefined) this.#close();
      else this.#goTo(place);
    } else if (place.trace === this.#key) this.#goTo(place);
    else this.#try(this.#openPlace(place));
  }

  async #openPlace(place: Place): Promise<void> {
    const key = place.trace!;
    const entry = this.#store.entries.get(key);
    if (entry) return this.#openEntry(entry, place);
    const [, kind, name] = /^(file|live):(.*)$/.exec(key) ?? [];
    this.#close();
    if (kind === 'file') showProblem(`This link leads into the file ${name}: drop it here, then follow the link again`);
    else if (kind === 'live' && this.#live) showToast(`Waiting for trace ${name}`);
    else if (kind === 'live') showProblem(`This link leads to trace ${name} of a running server`);
    else showProblem(`There is no trace “${key}” here`);
  }

  async #openEntry(entry: Entry, place: Place): Promise<void> {
    const turn = ++this.#opening;
    let trace: TraceDocument;
    try {
      trace = await entry.load();
    } catch (error) {
      throw new Error(`${entry.name}: ${(error as Error).message}`);
    }
    // Another one was asked for in the meantime.
    if (turn !== this.#opening) return;
    showProblem(null);
    this.#play(false);
    const steps = new Steps(trace);
    this.opened = { steps, tree: new Tree(steps) };
    this.#key = entry.key;
    byId('start').hidden = true;
    byId('work').hidden = false;
    byId('transport').hidden = false;
    byId<HTMLInputElement>('slider').max = String(steps.count);
    for (const view of this.#views) view.open(this.opened);
    this.#search.open(this.opened);
    this.#showList();
    this.step = 0;
    this.#goTo(place);
    loadSources().then(
      (sources) => this.#code.setSources(sources),
      () => this.#code.setSources({}),
    );
  }

  /** To a place of the trace that is open. */
  #goTo(place: Place): void {
    showProblem(null);
    try {
      this.step = stepOf(place, this.opened!.steps);
    } catch (error) {
      showProblem((error as Error).message);
    }
    this.#update();
  }

  #close(): void {
    this.#opening++;
    this.#play(false);
    clearTimeout(this.#addressing);
    this.#addressing = undefined;
    this.opened = null;
    this.#key = null;
    byId('start').hidden = false;
    byId('work').hidden = true;
    byId('transport').hidden = true;
    document.title = 'Trace explorer';
    this.#showList();
  }

  #openFrom(entry: Entry): void {
    this.#writeAddress();
    history.pushState(null, '', formatPlace({ trace: entry.key, step: 1 }));
    // The button that was pressed is gone: the keyboard goes on in the tree.
    this.#try(this.#openEntry(entry, { trace: entry.key }).then(() => byId('tree').focus()));
  }

  async #openFile(file: File): Promise<void> {
    try {
      this.#openFrom(this.#store.addFile(file.name, await file.text()));
    } catch (error) {
      showProblem(`${file.name}: ${(error as Error).message}`);
    }
  }

  #showList(): void {
    showLists(this.#store, this.#key, this.#live, (entry) => this.#openFrom(entry));
  }

  #watch(): void {
    const badge = byId('live');
    let arrived = 0;
    const show = (connected: boolean) => {
      badge.hidden = false;
      badge.classList.toggle('is-on', connected);
      badge.textContent = connected ? `live, ${count(arrived, 'trace')}` : 'live: no connection';
    };
    watchLive(
      (live) => {
        const entry = this.#store.addLive(live);
        arrived++;
        show(true);
        this.#listChanged();
        const place = parsePlace(location.hash);
        if (this.opened === null && place.trace === entry.key) this.#follow();
      },
      (connected, problem) => {
        show(connected);
        if (problem) showProblem(problem);
      },
    ).catch((error: unknown) => showProblem((error as Error).message));
  }

  // ---- buttons and keys

  async #copyLink(): Promise<void> {
    if (this.opened === null) return;
    const address = new URL(location.href);
    address.hash = formatPlace(placeByName(this.#key, this.step, this.opened.steps));
    try {
      await navigator.clipboard.writeText(address.href);
      showToast('Link copied');
    } catch {
      // No clipboard here: the address itself can be copied.
      history.replaceState(null, '', address.hash);
      showToast('The link is in the address bar');
    }
  }

  #refresh(): void {
    for (const view of this.#views) view.refresh();
  }

  /** Scroll what has the focus: the arrows alone step. */
  #scroll(across: number, down: number): void {
    const focused = document.activeElement;
    if (focused?.id === 'code') focused.scrollBy(across * 80, down * 60);
    else if (this.opened) this.#lanes.pan(across * 0.2, down * 0.3);
  }

  #fold(): void {
    if (this.opened) this.#tree.toggle(this.opened.steps.spanAt(this.step));
  }

  #unfoldAll(): void {
    this.opened?.tree.unfold();
    if (this.opened) this.#tree.refresh();
  }

  /** What a button of the bar at the bottom does, and a key. */
  readonly #moves: Moves = {
    first: () => this.#walk(() => 0),
    back: () => this.#walk((steps) => steps.back(this.step)),
    play: () => this.#play(),
    into: () => this.#walk((steps) => steps.into(this.step)),
    over: () => this.#walk((steps) => steps.over(this.step)),
    out: () => this.#walk((steps) => steps.out(this.step)),
    last: () => this.#walk((steps) => steps.count - 1),
  };

  #keys(): Key[] {
    const ifOpen = (act: () => void) => () => {
      if (this.opened) act();
    };
    return keyTable({
      ...this.#moves,
      next: () => this.#walk(() => this.step + 1),
      previous: () => this.#walk(() => this.step - 1),
      otherEnd: () => this.#walk((steps) => this.#otherEnd(steps)),
      search: () => this.#search.show(),
      found: (direction) => this.#search.next(direction),
      row: (by) => this.#row(by),
      page: (by) => this.#row(by * this.#tree.page),
      fold: () => this.#fold(),
      unfold: () => this.#unfoldAll(),
      tab: (tab) => ifOpen(() => showTab(tab, () => this.#refresh(), true))(),
      zoom: (factor) => ifOpen(() => this.#lanes.zoom(factor))(),
      fit: ifOpen(() => this.#lanes.fit()),
      scale: ifOpen(() => this.#lanes.toggleScale()),
      scroll: (across, down) => this.#scroll(across, down),
      copy: () => this.#try(this.#copyLink()),
      choose: () => byId('file').click(),
      theme: () => toggleTheme(() => this.#refresh()),
      help: () => byId<HTMLDialogElement>('keys').showModal(),
    });
  }

  #wire(): void {
    const keys = this.#keys();
    byId('keys-list').replaceChildren(...listKeys(keys));
    listen(keys);
    const click = (id: string, act: () => void) => byId(id).addEventListener('click', act);
    click('find', () => this.#search.show());
    click('link', () => this.#try(this.#copyLink()));
    click('theme', () => toggleTheme(() => this.#refresh()));
    click('help', () => byId<HTMLDialogElement>('keys').showModal());
    click('choose', () => byId('file').click());
    click('choose-big', () => byId('file').click());
    for (const button of document.querySelectorAll<HTMLElement>('[data-do]')) {
      button.addEventListener('click', () => this.#moves[button.dataset.do as keyof Moves]());
    }
    for (const button of document.querySelectorAll<HTMLElement>('[role=tab]')) {
      button.addEventListener('click', () => showTab(button.dataset.for as Tab, () => this.#refresh()));
    }
    byId('home').addEventListener('click', (event) => {
      event.preventDefault();
      this.#writeAddress();
      history.pushState(null, '', location.pathname + location.search);
      this.#follow();
    });
    const slider = byId<HTMLInputElement>('slider');
    slider.addEventListener('input', () => this.go(Number(slider.value) - 1));
    const select = byId<HTMLSelectElement>('traces');
    select.addEventListener('change', () => {
      const entry = this.#store.entries.get(select.value);
      if (entry) this.#openFrom(entry);
      else byId('home').click();
    });
    select.addEventListener('blur', () => this.#showList());
    onFiles((file) => this.#try(this.#openFile(file)));
    window.addEventListener('popstate', () => {
      // A walk that was not yet in the address is over: the address leads elsewhere.
      clearTimeout(this.#addressing);
      this.#addressing = undefined;
      this.#follow();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#refresh());
  }

  #try(work: Promise<void>): void {
    work.catch((error: unknown) => showProblem((error as Error).message));
  }
}

new App(JSON.parse(byId('index').textContent ?? '[]') as Embedded[]);
