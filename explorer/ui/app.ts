/** The page: one trace, one current step, and panels that follow it. */
import { isShownAt, LEVELS, type Level, levelOf } from '../../src/formats/levels.ts';
import type { Embedded } from '../embedded.ts';
import { count } from '../format.ts';
import { formatPlace, type Place, parsePlace, placeByName, stepOf } from '../location.ts';
import { Steps } from '../steps.ts';
import type { StatePart } from '../tours.ts';
import type { TraceDocument } from '../trace.ts';
import { Tree } from '../tree.ts';
import { CodeView } from './code-view.ts';
import { CompareView } from './compare-view.ts';
import { byId, onceAFrame } from './dom.ts';
import { type Key, keyTable, listen, listKeys, type Moves } from './keys.ts';
import { LanesView } from './lanes-view.ts';
import { showComparable, showLists } from './lists.ts';
import { watchLive } from './live-server.ts';
import { onFiles, showProblem, showTab, showToast, type Tab, toggleTheme } from './page.ts';
import { PhasesView } from './phases-view.ts';
import { RequestsView } from './requests-view.ts';
import { SearchBox } from './search-box.ts';
import { makeSplitter } from './splitter.ts';
import { StateView } from './state-view.ts';
import { type Config, type Entry, loadSources, loadWords, Store } from './store.ts';
import { TourView } from './tour-view.ts';
import { TreeView } from './tree-view.ts';
import type { Host, Opened, View } from './view.ts';
import { WireView } from './wire-view.ts';

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
  readonly #wireView: WireView;
  readonly #tour: TourView;
  readonly #compare = new CompareView();
  /** The traces that are compared. */
  #compared: [string, string] | null = null;
  #level: Level = 'all';
  readonly #requests = new URLSearchParams(location.search).has('live') ? new RequestsView() : null;
  readonly #listChanged = onceAFrame(() => this.#showList());
  #opening = 0;
  #playing: ReturnType<typeof setInterval> | undefined;
  #addressing: ReturnType<typeof setTimeout> | undefined;
  #saying: ReturnType<typeof setTimeout> | undefined;

  constructor(index: readonly Embedded[], config: Config) {
    this.#store = new Store(index);
    this.#tree = new TreeView(this, byId('tree'));
    this.#code = new CodeView(this, config);
    this.#wireView = new WireView(this);
    this.#tour = new TourView(this);
    this.#lanes = new LanesView(this, byId<HTMLCanvasElement>('lanes'));
    this.#search = new SearchBox(this, showToast);
    const phases = new PhasesView(this, byId('phases'));
    // the tour first: its words take room from the panels
    this.#views = [this.#tour, this.#tree, this.#code, this.#lanes, phases, this.#wireView, new StateView(this)];
    this.#wire();
    this.#showList();
    if (this.#requests) this.#watch();
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
    const { at, step } = this.#tour;
    if (at === null) return { trace: this.#key, step: this.step + 1 };
    return { trace: this.#key, tour: at, ...(step !== this.step && { step: this.step + 1 }) };
  }

  /** Bring the address up to date now, if a walk has left it behind. */
  #writeAddress(always = false): void {
    if (this.#addressing === undefined && !always) return;
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

  /** Go on by `next` until something shows at this level; where nothing does any more, stay. */
  #walkShown(next: (steps: Steps, from: number) => number): void {
    if (this.opened === null) return;
    const { steps, tree } = this.opened;
    let at = this.step;
    for (;;) {
      const to = next(steps, at);
      if (to === at) return;
      at = to;
      const isEdge = at === 0 || at === steps.count - 1;
      if (tree.shows(steps.spanAt(at)) || isEdge) break;
    }
    this.go(at);
  }

  /** To the next call in the tree that is no part of this one, or the next that shows after it. */
  #over(): void {
    if (this.opened === null) return;
    const { steps, tree } = this.opened;
    let at = steps.over(this.step);
    while (at < steps.count - 1 && !tree.shows(steps.spanAt(at))) at = steps.into(at);
    this.go(at);
  }

  #out(): void {
    if (this.opened === null) return;
    const { steps, tree } = this.opened;
    const caller = tree.callerOf(steps.spanAt(this.step));
    this.go(caller === null ? steps.out(this.step) : steps.beginOf(caller));
  }

  // ---- how much shows, tours, comparing

  #setLevel(level: Level): void {
    this.#level = level;
    for (const button of document.querySelectorAll<HTMLElement>('[data-level]')) {
      button.setAttribute('aria-pressed', String(button.dataset.level === level));
    }
    if (this.opened) {
      const { steps, tree } = this.opened;
      tree.setLevel((span) => isShownAt(steps.spans[span]!, level));
      this.#tree.open(this.opened);
      this.#tree.update(this.step);
    }
    this.#compare.setLevel(level);
  }

  tour(by: number): void {
    if (this.opened === null) return;
    if (this.#tour.of(this.opened) === null) {
      showToast('This trace has no tour');
      return;
    }
    this.#toStop((this.#tour.at ?? 1 - by) + by, 'push');
  }

  endTour(): void {
    if (this.#tour.at === null) return;
    this.#tour.end();
    this.#writeAddress(true);
    this.#refresh();
    byId('tree').focus();
  }

  returnToStop(): void {
    if (this.#tour.step === null) showToast('No tour is on');
    else this.go(this.#tour.step);
  }

  chapterOfStop(): string | undefined {
    return this.#tour.chapter;
  }

  partOfStop(): StatePart | undefined {
    return this.#tour.look;
  }

  #toStop(stop: number, how: 'push' | 'stay'): void {
    if (how === 'push') this.#writeAddress();
    const step = this.#tour.go(stop, this.opened!);
    if (step === null) {
      showProblem('This trace lacks the call at which the tour stops here');
      return;
    }
    if (how === 'push') history.pushState(null, '', formatPlace({ trace: this.#key, tour: this.#tour.at! }));
    this.step = step;
    this.#update();
  }

  #chooseCompared(): void {
    const key = this.#key ?? this.#compared?.[0];
    if (key === undefined) {
      showToast('Open a trace first');
      return;
    }
    // the traces of the page are named by their scenarios
    showComparable([...this.#store.entries.values()], key, this.opened?.steps.trace.scenario ?? key);
    byId<HTMLDialogElement>('compare-with').showModal();
  }

  async #openCompared(a: string, b: string): Promise<void> {
    const [one, other] = [this.#store.entries.get(a), this.#store.entries.get(b)];
    if (one === undefined || other === undefined) {
      showProblem(`There is no trace “${one === undefined ? a : b}” here`);
      return;
    }
    const turn = ++this.#opening;
    const [left, right] = await Promise.all([one.load(), other.load()]);
    if (turn !== this.#opening) return;
    this.#close();
    byId('start').hidden = true;
    this.#compared = [a, b];
    document.title = `${left.scenario} and ${right.scenario} – Trace explorer`;
    const level: Level = left.spans.some((span) => levelOf(span) === 'main') ? 'main' : 'all';
    this.#setLevel(level);
    this.#compare.open([one, other], left, right, level);
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
      else this.#moves.into();
    }, BEAT_MS);
  }

  // ---- opening

  #follow(): void {
    const place = parsePlace(location.hash);
    for (const dialog of document.querySelectorAll('dialog')) dialog.close();
    if (place.trace !== null && place.with !== undefined) {
      this.#try(this.#openCompared(place.trace, place.with));
      return;
    }
    if (this.#compared) this.#close();
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
    else if (kind === 'live' && this.#requests) showToast(`Waiting for trace ${name}`);
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
    this.step = 0;
    this.#tour.end();
    // the scenarios are there to be learned from: they begin with what matters
    const isScenario = entry.about !== null && entry.kind === 'embedded';
    this.#setLevel(isScenario ? 'main' : 'all');
    byId('start').hidden = true;
    byId('work').hidden = false;
    byId('transport').hidden = false;
    // where the code shares its place with wire and state, one of the three shows
    const isMiddling = matchMedia('(min-width: 761px) and (max-width: 1180px)').matches;
    if (isMiddling && document.body.dataset.tab === 'calls') showTab('code', () => {});
    byId<HTMLInputElement>('slider').max = String(steps.count);
    for (const view of this.#views) view.open(this.opened);
    this.#search.open(this.opened);
    this.#showList();
    const first = isScenario ? steps.callsOf('Server::run_forever')[0] : undefined;
    const { step, fn, tour } = place;
    const isBare = step === undefined && fn === undefined && tour === undefined;
    this.#goTo(first !== undefined && isBare ? { ...place, step: steps.beginOf(first) + 1 } : place);
    loadWords().then(
      (words) => this.#code.setWords(words),
      () => {},
    );
    loadSources().then(
      (sources) => this.#code.setSources(sources),
      () => this.#code.setSources({}),
    );
  }

  /** To a place of the trace that is open. */
  #goTo(place: Place): void {
    showProblem(null);
    if (place.tour !== undefined) {
      this.#toStop(place.tour, 'stay');
      // stepped on from there by hand
      if (place.step !== undefined) this.go(this.opened!.steps.clamp(place.step - 1));
      return;
    }
    this.#tour.end();
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
    this.#compare.close();
    this.#compared = null;
    this.#tour.end();
    document.title = 'Trace explorer';
    this.#showList();
  }

  #openFrom(entry: Entry): void {
    this.#writeAddress();
    history.pushState(null, '', formatPlace({ trace: entry.key }));
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
    showLists(this.#store, this.#key, this.#requests, (entry) => this.#openFrom(entry));
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
    back: () => this.#walkShown((steps, from) => steps.back(from)),
    play: () => this.#play(),
    into: () => this.#walkShown((steps, from) => steps.into(from)),
    over: () => this.#over(),
    out: () => this.#out(),
    last: () => this.#walk((steps) => steps.count - 1),
  };

  #keys(): Key[] {
    const ifOpen = (act: () => void) => () => {
      if (this.opened) act();
    };
    return keyTable({
      ...this.#moves,
      next: () => this.#walkShown((steps, from) => steps.clamp(from + 1)),
      previous: () => this.#walkShown((steps, from) => steps.clamp(from - 1)),
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
      level: () => this.#setLevel(LEVELS[(LEVELS.indexOf(this.#level) + 1) % LEVELS.length]!),
      stop: (by) => (this.#compare.isOpen ? this.#compare.next(by) : this.tour(by)),
      endTour: () => this.endTour(),
      returnToStop: () => this.returnToStop(),
      hex: ifOpen(() => this.#wireView.setHex()),
      caller: ifOpen(() => this.#code.toggleCaller()),
      rust: ifOpen(() => this.#code.rust.toggle()),
      compare: () => this.#chooseCompared(),
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
    click('compare-open', () => this.#chooseCompared());
    click('compare-next', () => this.#compare.next(1));
    click('compare-before', () => this.#compare.next(-1));
    for (const button of document.querySelectorAll<HTMLElement>('[data-level]')) {
      button.addEventListener('click', () => this.#setLevel(button.dataset.level as Level));
    }
    makeSplitter(() => this.#refresh());
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

const read = <T>(id: string) => JSON.parse(byId(id).textContent ?? 'null') as T;
new App(read<Embedded[]>('index'), read<Config>('config'));
