/** The current call: what is known of it, the port's code, and where it is in Pingora. */
import { namesOf } from '../chapters.ts';
import { duration } from '../format.ts';
import { Happened } from '../happened.ts';
import { declaredName, endOfFunction, findCall, lines, type Token, tokenize } from '../source.ts';
import type { TraceSpan } from '../trace.ts';
import { byId, h, hueOf } from './dom.ts';
import { changesList, factsList, failureBox } from './facts.ts';
import { codeLine, RustView } from './rust-view.ts';
import type { Config, Words } from './store.ts';
import type { Host, Opened, View } from './view.ts';
import { VirtualList } from './virtual.ts';

const ROW = 20;
const PINGORA = 'https://github.com/cloudflare/pingora/blob/0.1.0/';

interface File {
  tokens: Token[];
  lines: Token[][];
  widest: number;
}

/** Where the function is in Pingora, as a link. */
export function permalink({ rust }: Pick<TraceSpan, 'rust'>): string | null {
  if (rust === null || rust.file === 'app') return null;
  const path = rust.file.split('/').map(encodeURIComponent).join('/');
  return `${PINGORA}${path}${rust.line === undefined ? '' : `#L${rust.line}`}`;
}

export class CodeView implements View {
  readonly #host: Host;
  readonly #card = byId('card');
  readonly #where = byId('where');
  readonly #list: VirtualList;
  readonly #files = new Map<string, File>();
  readonly rust: RustView;
  #sources: Record<string, string> | null = null;
  #words: Words | null = null;
  #happened: Happened | null = null;
  /** Show the caller, with the line of the call, instead of what is called. */
  #atCaller = false;
  #call: number | null = null;
  #opened: Opened | null = null;
  #step = 0;
  #file: File | null = null;
  #shown = '';
  #first = 0;
  #last = 0;
  /** The height at which the code was scrolled to its place. */
  #room = 0;

  constructor(host: Host, config: Config) {
    this.#host = host;
    this.rust = new RustView(config);
    this.#list = new VirtualList(byId('code'), ROW, (row) => this.#line(row));
    byId('caller-toggle').addEventListener('click', () => this.toggleCaller());
    byId('rust-toggle').addEventListener('click', () => this.rust.toggle());
  }

  /** What functions do, and which chapters explain them. */
  setWords(words: Words): void {
    this.#words = words;
    if (this.#opened) this.update(this.#step);
  }

  toggleCaller(): void {
    this.#atCaller = !this.#atCaller;
    byId('caller-toggle').setAttribute('aria-pressed', String(this.#atCaller));
    this.refresh();
  }

  /** The port's files by their paths; null while they aren't there. */
  setSources(sources: Record<string, string>): void {
    this.#sources = sources;
    if (this.#opened) this.update(this.#step);
  }

  open(opened: Opened): void {
    this.#opened = opened;
    this.#happened = new Happened(opened.steps);
    this.#shown = '';
  }

  update(step: number): void {
    this.#step = step;
    const { steps } = this.#opened!;
    const span = steps.spans[steps.spanAt(step)]!;
    this.#card.replaceChildren(...this.#cardOf(steps.spanAt(step)));
    this.#where.replaceChildren(...this.#whereOf(span));
    this.#showCode(steps.spanAt(step));
    this.rust.show(span);
  }

  refresh(): void {
    if (this.#opened === null) return;
    this.#shown = '';
    this.update(this.#step);
    this.rust.refresh();
  }

  #wordsOf({ fn, rust }: TraceSpan): { sentence: string | undefined; chapter: Words['book'][string] | undefined } {
    const words = this.#words;
    if (words === null) return { sentence: undefined, chapter: undefined };
    const names = namesOf(fn, rust?.file ?? null);
    const first = (of: Record<string, string>): string | undefined => {
      for (const name of names) if (Object.hasOwn(of, name)) return of[name];
      return undefined;
    };
    // a stop of a tour may be about something else than its function
    const number = this.#host.chapterOfStop() ?? first(words.chapters);
    const chapter = number !== undefined && Object.hasOwn(words.book, number) ? words.book[number] : undefined;
    return { sentence: first(words.sentences), chapter };
  }

  #cardOf(index: number): Node[] {
    const { steps } = this.#opened!;
    const span = steps.spans[index]!;
    const { fn, phase, status, start, end, runs, attributes, task } = span;
    const parent = steps.parentOf(index);
    const isEnd = steps.isEnd(this.#step);
    const name = steps.trace.tasks.find(({ id }) => id === task)!.name;
    const facts: [string, Node | string][] = [];
    if (parent !== null) {
      const caller = h('button', { class: 'link', type: 'button' }, steps.spans[parent]!.fn);
      caller.addEventListener('click', () => this.#host.go(steps.beginOf(parent), 'jump'));
      facts.push([steps.isSpawned(index) ? 'spawned by' : 'called by', caller]);
    }
    facts.push(['began at', duration(start)]);
    facts.push(['took', end === null ? 'never ended' : duration(end - start)]);
    if (runs && end !== null) {
      const ran = runs.reduce((sum, [from, to]) => sum + (to - from), 0);
      facts.push(['of it', `${duration(ran)} running, ${duration(Math.max(0, end - start - ran))} waiting`]);
    }
    for (const [key, value] of Object.entries(attributes)) facts.push([key, h('code', {}, String(value))]);
    const { sentence, chapter } = this.#wordsOf(span);
    const jump = this.#happened!.jump(this.#step);
    return [
      jump !== null &&
        h('p', { class: 'jump' }, `${jump.from} waits; ${jump.to} runs${jump.by === null ? '' : `, ${jump.by}`}.`),
      h(
        'div',
        { class: 'title' },
        h('span', { class: `moment ${isEnd ? 'is-end' : 'is-begin'}` }, isEnd ? 'returns' : 'calls'),
        h('h2', {}, fn),
      ),
      h(
        'div',
        { class: 'says' },
        sentence !== undefined && h('p', { class: 'sentence' }, sentence),
        chapter !== undefined &&
          h(
            'a',
            { class: 'chip chapter', href: chapter.href, title: 'The chapter that explains it' },
            `${chapter.title[0]!.toUpperCase()}${chapter.title.slice(1)}`,
          ),
      ),
      failureBox(span.error),
      factsList('in', span.in),
      factsList('out', span.out),
      changesList(span.changed),
      h(
        'p',
        { class: 'chips' },
        h('span', { class: `chip status-${status}` }, status),
        h('span', { class: 'chip' }, phase),
        h('span', { class: 'chip task', style: `--hue:${hueOf(task)}` }, `task ${task} ${name}`),
      ),
      h('dl', {}, ...facts.map(([key, value]) => h('div', {}, h('dt', {}, key), h('dd', {}, value)))),
    ].filter((node) => node !== false);
  }

  #whereOf(span: TraceSpan): Node[] {
    const { rust, ts } = span;
    const link = permalink(span);
    return [
      h('span', { class: 'port' }, ts === null ? 'no source' : `${ts.file}:${ts.line}`),
      link === null
        ? h(
            'span',
            { class: 'pingora' },
            rust === null ? 'only the port has this function' : 'a hook of the application',
          )
        : h(
            'a',
            { class: 'pingora', href: link, target: '_blank', rel: 'noopener noreferrer', title: 'In Pingora 0.1.0' },
            `${rust!.file}${rust!.line === undefined ? '' : `:${rust!.line}`} ↗`,
          ),
    ];
  }

  #read(path: string): File | null {
    const known = this.#files.get(path);
    if (known) return known;
    const text = this.#sources && Object.hasOwn(this.#sources, path) ? this.#sources[path]! : null;
    if (text === null) return null;
    const tokens = tokenize(text);
    const file = { tokens, lines: lines(tokens), widest: Math.max(...text.split('\n').map((line) => line.length)) };
    this.#files.set(path, file);
    return file;
  }

  #showCode(index: number): void {
    const { steps } = this.#opened!;
    const parent = steps.parentOf(index);
    const caller = this.#atCaller && parent !== null && steps.spans[parent]!.ts !== null ? parent : null;
    const { ts } = steps.spans[caller ?? index]!;
    const key =
      ts === null ? '-' : `${ts.file}:${ts.line}:${caller === null ? '' : index}${this.#sources === null ? '?' : ''}`;
    if (key === this.#shown) {
      // a card that has grown takes room from the code
      if (byId('code').clientHeight !== this.#room) this.#reveal();
      return;
    }
    this.#shown = key;
    this.#file = ts === null ? null : this.#read(ts.file);
    const code = byId('code');
    const note = byId('no-code');
    const missing = this.#file === null;
    code.hidden = missing;
    note.hidden = !missing;
    if (this.#file === null || ts === null) {
      note.textContent =
        ts === null ? 'The trace names no source for this call.' : `The source of ${ts.file} isn't in this page.`;
      return;
    }
    this.#first = ts.line;
    this.#last = endOfFunction(this.#file.tokens, ts.line);
    this.#call = caller === null ? null : this.#callIn(caller, index);
    this.#list.setCount(this.#file.lines.length, this.#file.widest + 10);
    code.scrollLeft = 0;
    this.#reveal();
  }

  /** Scroll to the line of the call, or to the function's first lines. */
  #reveal(): void {
    if (this.#file === null) return;
    this.#room = byId('code').clientHeight;
    // One line more above: the decorator that names Pingora's function.
    if (this.#call !== null) this.#list.reveal(this.#call - 1, 1, 4);
    else this.#list.reveal(Math.max(0, this.#first - 2), Math.min(this.#last - this.#first + 2, this.#list.page), 1);
    this.#list.refresh();
  }

  /** The line of the caller that makes the call; null if it can't be told. */
  #callIn(caller: number, index: number): number | null {
    const { steps } = this.#opened!;
    const { ts, fn } = steps.spans[index]!;
    const own = ts === null ? null : this.#read(ts.file);
    const text = own?.lines[ts!.line - 1]?.map((token) => token.text).join('') ?? '';
    const name = declaredName(text);
    if (name === null) return null;
    const before = steps.childrenOf(caller).filter((child) => child <= index && steps.spans[child]!.fn === fn).length;
    return findCall(this.#file!.lines, this.#first, this.#last, name, before);
  }

  #line(row: number): HTMLElement {
    const number = row + 1;
    return codeLine(number, this.#file!.lines[row]!, {
      'is-inside': number >= this.#first && number <= this.#last,
      'is-first': this.#call === null ? number === this.#first : number === this.#call,
      'is-call': number === this.#call,
    });
  }
}
