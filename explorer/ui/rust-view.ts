/**
 * Pingora's Rust beside the port's code: from a checkout that was given when the page was built, or fetched from the
 * public repository when the reader asks for it. None of it is part of this page.
 */
import { endOfFunction, lines, type Token, tokenize } from '../source.ts';
import type { TraceSpan } from '../trace.ts';
import { byId, h } from './dom.ts';
import type { Config } from './store.ts';
import { loadRust } from './store.ts';
import { VirtualList } from './virtual.ts';

const ROW = 20;

interface File {
  tokens: Token[];
  lines: Token[][];
  widest: number;
}

export class RustView {
  readonly #config: Config;
  readonly #panel = byId('rust-panel');
  readonly #list: VirtualList;
  readonly #files = new Map<string, File | string>();
  #built: Promise<Record<string, string>> | null = null;
  /** The reader has asked for the public repository: other files come by themselves. */
  #mayFetch = false;
  #file: File | null = null;
  #shown = '';
  #span: TraceSpan | null = null;
  #first = 0;
  #last = 0;

  constructor(config: Config) {
    this.#config = config;
    this.#list = new VirtualList(byId('rust'), ROW, (row) => this.#line(row));
  }

  get isOpen(): boolean {
    return !this.#panel.hidden;
  }

  toggle(): void {
    this.#panel.hidden = !this.#panel.hidden;
    byId('rust-toggle').setAttribute('aria-pressed', String(this.isOpen));
    this.#shown = '';
    if (this.#span) this.show(this.#span);
  }

  show(span: TraceSpan): void {
    this.#span = span;
    if (!this.isOpen) return;
    const { rust } = span;
    const key = rust === null ? '-' : `${rust.file}:${rust.line}`;
    if (key === this.#shown) return;
    this.#shown = key;
    if (rust === null || rust.file === 'app') {
      const why =
        rust === null ? 'Only the port has this function.' : 'A hook of the application: Pingora only calls it.';
      this.#say(why);
      return;
    }
    const known = this.#files.get(rust.file);
    if (typeof known === 'string') this.#say(known, true);
    else if (known !== undefined) this.#open(known, rust.line ?? 1);
    else if (this.#config.hasRust) this.#loadBuilt(rust.file);
    else if (this.#mayFetch) this.#fetch(rust.file);
    else this.#ask();
  }

  #again(): void {
    this.#shown = '';
    if (this.#span) this.show(this.#span);
  }

  #ask(): void {
    const button = h('button', { type: 'button', class: 'primary', id: 'fetch-rust' }, 'Fetch it');
    button.addEventListener('click', () => {
      this.#mayFetch = true;
      this.#again();
    });
    const where = new URL(this.#config.rustBase).host;
    this.#say(h('span', {}, `Pingora’s source isn’t part of this page. It can be fetched from ${where}. `, button));
  }

  #loadBuilt(path: string): void {
    this.#say('Loading…');
    this.#built ??= loadRust();
    this.#built.then(
      (files) => {
        const text = Object.hasOwn(files, path) ? files[path]! : null;
        this.#files.set(
          path,
          text === null ? `${path} isn’t in the checkout that this page was built with.` : read(text),
        );
        this.#again();
      },
      (error: unknown) => this.#say((error as Error).message),
    );
  }

  #fetch(path: string): void {
    this.#say(`Fetching ${path}…`);
    const done = (file: File | string) => {
      this.#files.set(path, file);
      this.#again();
    };
    fetch(this.#config.rustBase + path)
      .then(async (answer) => {
        if (!answer.ok) throw new Error(`the repository answered ${answer.status}`);
        done(read(await answer.text()));
      })
      .catch((error: unknown) => {
        done(`${path} can’t be fetched: ${(error as Error).message}.`);
      });
  }

  #say(what: string | Node, again = false): void {
    const note = byId('no-rust');
    note.replaceChildren(what);
    if (again && !this.#config.hasRust) {
      const button = h('button', { type: 'button', class: 'link' }, 'Try again');
      button.addEventListener('click', () => {
        if (this.#span?.rust) this.#files.delete(this.#span.rust.file);
        this.#again();
      });
      note.append(' ', button);
    }
    note.hidden = false;
    byId('rust').hidden = true;
  }

  #open(file: File, line: number): void {
    byId('no-rust').hidden = true;
    byId('rust').hidden = false;
    this.#file = file;
    this.#first = line;
    this.#last = endOfFunction(file.tokens, line);
    this.#list.setCount(file.lines.length, file.widest + 10);
    byId('rust').scrollLeft = 0;
    this.#list.reveal(Math.max(0, line - 2), Math.min(this.#last - line + 2, this.#list.page), 1);
    this.#list.refresh();
  }

  refresh(): void {
    if (this.isOpen && this.#span) this.#again();
  }

  #line(row: number): HTMLElement {
    return codeLine(row + 1, this.#file!.lines[row]!, {
      'is-inside': row + 1 >= this.#first && row + 1 <= this.#last,
      'is-first': row + 1 === this.#first,
    });
  }
}

function read(text: string): File {
  const tokens = tokenize(text, 'rust');
  return { tokens, lines: lines(tokens), widest: Math.max(...text.split('\n').map((line) => line.length)) };
}

/** A line of code with its number. */
export function codeLine(number: number, tokens: readonly Token[], marks: Record<string, boolean>): HTMLElement {
  const classes = Object.entries(marks).filter(([, on]) => on);
  return h(
    'div',
    { class: ['line', ...classes.map(([name]) => name)].join(' ') },
    h('span', { class: 'number', 'aria-hidden': 'true' }, String(number)),
    h(
      'span',
      { class: 'text' },
      ...tokens.map(({ kind, text }) =>
        kind === 'plain' ? document.createTextNode(text) : h('span', { class: `t-${kind}` }, text),
      ),
    ),
  );
}
