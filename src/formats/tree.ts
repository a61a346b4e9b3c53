/**
 * Prints a trace as a tree, a task at a time: Pingora's name of each call, where it is in the port, what it took.
 *
 * Made for reading: nothing is wider than the page, the way from `run_forever` to `process_new_http` stands out, and
 * what repeats is folded. Two runs of a scenario print the same tree but for times, ports and system ids.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createColors } from 'picocolors';
import type { Comparison } from '../tracing/compare.ts';
import {
  type BytesEvent,
  childrenOf,
  type FrameEvent,
  type TraceDocument,
  type TraceSpan,
  type TraceTask,
} from '../tracing/model.ts';
import { projectRoot } from '../tracing/sites.ts';
import { isShownAt, type Level } from './levels.ts';
import { summaryOf } from './summary.ts';
import { bytesLines, wireHead } from './wire.ts';

export interface TreeOptions {
  /** Columns that no line exceeds. Default 100. */
  width?: number;
  /** Write ANSI colours. Default false. */
  colour?: boolean;
  /** Write terminal links (OSC 8) under names and places. Default false. */
  links?: boolean;
  /**
   * Show only calls of these module folders, as `server` or `proxy`, an application's hooks, and the chain of calls
   * that leads there.
   */
  only?: readonly string[] | undefined;
  /** How much is shown. Default: everything. */
  level?: Level | undefined;
  /** Show only the calls of this function, with what they called and spawned. */
  from?: string | undefined;
  /** Name Pingora's file and line in full, instead of the port's. */
  rust?: boolean | undefined;
  /** Show the bytes and frames that calls read and wrote. */
  wire?: boolean | undefined;
  /** Show the frames of HTTP/2 that calls read and wrote, without the bytes. */
  frames?: boolean | undefined;
  /** Show so many levels of each task. Default all. */
  depth?: number | undefined;
  /** Only the calls: no times, no lines of files, nothing above or below them. For what is kept and compared. */
  bare?: boolean;
  /** Print only these tasks' lanes. Default all. */
  lanes?: readonly number[] | undefined;
  /** A line about the scenario. */
  about?: string | undefined;
  /** What the comparison with Pingora's calls gave; null if there is no record of the scenario. */
  comparison?: Comparison | null;
}

type Paint = (text: string) => string;

/** A piece of a line: what it looks like, and how it is painted. */
interface Piece {
  text: string;
  paint?: Paint | undefined;
  href?: string | undefined;
}

/** What stands under a call, in order: calls (folded if several are alike) and the tasks that it spawned. */
type Item = { calls: TraceSpan[] } | { task: TraceTask };

const SPINE_END = /::process_new_http$/;
const SPINE_BEGIN = 'Server::run_forever';
/** The columns of the times at the right edge: the whole, and what of it was waiting. */
const TIMES = 15;
const WAIT = 8;
/** Narrower lines have no times: names and values are worth more there. */
const WITH_TIMES = 96;
/** So much of a line of 100 columns may be indentation. */
const INDENT = 44;

/** Microseconds, short: `7µs`, `1.2ms`, `3.4s`. */
export function duration(micros: number): string {
  if (micros < 999.5) return `${Math.round(micros)}µs`;
  const millis = micros / 1e3;
  if (millis < 9.95) return `${millis.toFixed(1).replace(/\.0$/, '')}ms`;
  if (millis < 999.5) return `${millis.toFixed(0)}ms`;
  return `${(micros / 1e6).toFixed(1)}s`;
}

/** How long a span was suspended. */
export function waited(span: TraceSpan): number {
  if (span.runs === undefined || span.end === null) return 0;
  const ran = span.runs.reduce((sum, [from, to]) => sum + (to - from), 0);
  return Math.max(0, span.end - span.start - ran);
}

/** Bytes from the network must not steer the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

const clip = (text: string, width: number) =>
  text.length <= width ? text : width < 1 ? '' : `${text.slice(0, width - 1)}…`;

/** Which thread a task runs on, if the server has several. */
const onThread = ({ thread }: TraceTask) => (thread === undefined ? '' : `  thread ${thread}`);

/** A path cut from the left at a folder, so that it fits; empty if not even the file's name does. */
function clipPath(path: string, width: number): string {
  if (path.length <= width) return path;
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    if (path.length - at + 1 <= width) return `…${path.slice(at)}`;
  }
  return '';
}

/** The module folder that a call is in; `app` for an application's hook. */
export function moduleOf(span: TraceSpan): string {
  if (span.rust?.file === 'app') return 'app';
  const parts = (span.ts?.file ?? '').split('/');
  return (parts[0] === 'src' ? parts[1] : parts[0])?.replace(/\.ts$/, '') ?? '';
}

class Tree {
  readonly #trace: TraceDocument;
  readonly #options: TreeOptions;
  readonly #width: number;
  readonly #c: ReturnType<typeof createColors>;
  readonly #children: Map<number | null, TraceSpan[]>;
  readonly #byId: Map<number, TraceSpan>;
  readonly #spawned = new Map<number, TraceTask[]>();
  readonly #shown: Set<TraceSpan>;
  readonly #spine: Set<TraceSpan>;
  readonly #signatures = new Map<TraceSpan, number>();
  readonly #alike = new Map<string, number>();
  readonly #wire = new Map<number, (BytesEvent | FrameEvent)[]>();
  readonly #lines: string[] = [];

  constructor(trace: TraceDocument, options: TreeOptions) {
    this.#trace = trace;
    this.#options = options;
    this.#width = options.width ?? 100;
    this.#c = createColors(options.colour ?? false);
    this.#children = childrenOf(trace.spans);
    this.#byId = new Map(trace.spans.map((span) => [span.id, span]));
    for (const task of trace.tasks) {
      if (task.spawnedBy === null) continue;
      const siblings = this.#spawned.get(task.spawnedBy);
      if (siblings) siblings.push(task);
      else this.#spawned.set(task.spawnedBy, [task]);
    }
    for (const event of options.wire || options.frames ? (trace.events ?? []) : []) {
      if (event.kind === 'bytes' && !options.wire) continue;
      if ((event.kind !== 'bytes' && event.kind !== 'frame') || event.span === null) continue;
      const events = this.#wire.get(event.span);
      if (events) events.push(event);
      else this.#wire.set(event.span, [event]);
    }
    this.#spine = this.#findSpine();
    this.#shown = this.#findShown();
  }

  *#chain(span: TraceSpan): Generator<TraceSpan> {
    for (let at: TraceSpan | undefined = span; at; at = at.parent === null ? undefined : this.#byId.get(at.parent)) {
      yield at;
    }
  }

  #findSpine(): Set<TraceSpan> {
    const spine = new Set<TraceSpan>();
    for (const span of this.#trace.spans) {
      if (!SPINE_END.test(span.fn)) continue;
      const chain = [...this.#chain(span)];
      const top = chain.findIndex((at) => at.fn === SPINE_BEGIN);
      for (const at of top < 0 ? chain : chain.slice(0, top + 1)) spine.add(at);
    }
    return spine;
  }

  #findShown(): Set<TraceSpan> {
    const { only, level = 'all' } = this.#options;
    if (only === undefined && level === 'all') return new Set(this.#trace.spans);
    const shown = new Set<TraceSpan>();
    const wanted = (span: TraceSpan) =>
      (only === undefined || span.rust?.file === 'app' || only.includes(moduleOf(span))) &&
      (isShownAt(span, level) || this.#isFirstError(span) || this.#wire.has(span.id));
    for (const span of this.#trace.spans) {
      if (!wanted(span)) continue;
      if (only === undefined) shown.add(span);
      else {
        for (const at of this.#chain(span)) {
          if (shown.has(at)) break;
          shown.add(at);
        }
      }
    }
    return shown;
  }

  /** It failed, and nothing that it called did: there the error began. */
  #isFirstError(span: TraceSpan): boolean {
    return span.status === 'error' && !(this.#children.get(span.id) ?? []).some((child) => child.status === 'error');
  }

  /** The nearest calls below that are shown, with those of tasks that were spawned by calls that aren't. */
  #below(span: TraceSpan): TraceSpan[] {
    return (this.#children.get(span.id) ?? [])
      .filter(({ task }) => task === span.task)
      .flatMap((child) => (this.#shown.has(child) ? [child] : this.#below(child)));
  }

  /** The tasks that a call spawned, by itself or by a call that isn't shown. */
  #tasksOf(span: TraceSpan): TraceTask[] {
    const hidden = (this.#children.get(span.id) ?? []).filter(
      (child) => child.task === span.task && !this.#shown.has(child),
    );
    return [...(this.#spawned.get(span.id) ?? []), ...hidden.flatMap((child) => this.#tasksOf(child))];
  }

  /** The calls of a task that no call of the same task made. */
  #roots(task: TraceTask): TraceSpan[] {
    return (this.#children.get(task.spawnedBy) ?? [])
      .filter((span) => span.task === task.id)
      .flatMap((span) => (this.#shown.has(span) ? [span] : this.#below(span)));
  }

  /** Equal for calls that are alike with all that they called; a call that spawned something is like no other. */
  #signature(span: TraceSpan): number {
    let signature = this.#signatures.get(span);
    if (signature === undefined) {
      const below = this.#below(span);
      const { fn, rust, status, end } = span;
      const key = JSON.stringify([
        [fn, rust?.file, status, end === null, this.#facts(span)],
        this.#wire.has(span.id) || this.#tasksOf(span).length > 0 ? span.id : 0,
        below.map((child) => this.#signature(child)),
      ]);
      signature = this.#alike.get(key) ?? this.#alike.size;
      this.#alike.set(key, signature);
      this.#signatures.set(span, signature);
    }
    return signature;
  }

  #fold(calls: TraceSpan[]): Item[] {
    const items: { calls: TraceSpan[] }[] = [];
    for (const span of calls) {
      const last = items.at(-1);
      if (last && this.#signature(last.calls[0]!) === this.#signature(span)) last.calls.push(span);
      else items.push({ calls: [span] });
    }
    return items;
  }

  /** What stands under a call, in order of time. */
  #items(span: TraceSpan): Item[] {
    const calls = this.#below(span);
    const items: Item[] = [];
    let from = 0;
    for (const task of this.#tasksOf(span)) {
      const first = this.#roots(task)[0];
      if (first === undefined && this.#shown.size < this.#trace.spans.length) continue;
      const at = task.start ?? first?.start ?? Number.POSITIVE_INFINITY;
      let to = from;
      while (to < calls.length && calls[to]!.start < at) to++;
      items.push(...this.#fold(calls.slice(from, to)), { task });
      from = to;
    }
    items.push(...this.#fold(calls.slice(from)));
    return items;
  }

  #paint({ text, paint, href }: Piece): string {
    const painted = paint && text.trim() !== '' ? paint(text) : text;
    return href && this.#options.links ? `\x1b]8;;${href}\x1b\\${painted}\x1b]8;;\x1b\\` : painted;
  }

  #push(left: Piece[], right: Piece[] = []): void {
    const width = (pieces: Piece[]) => pieces.reduce((sum, { text }) => sum + text.length, 0);
    const gap = right.length === 0 ? 0 : Math.max(1, this.#width - width(left) - width(right));
    const line: Piece[] = [...left, { text: ' '.repeat(gap) }, ...right];
    for (let last = line.at(-1); last !== undefined; last = line.at(-1)) {
      line.pop();
      const text = last.text.trimEnd();
      if (text !== '') {
        line.push({ ...last, text });
        break;
      }
    }
    this.#lines.push(line.map((piece) => this.#paint(piece)).join(''));
  }

  #lane(task: number): Paint {
    const { cyan, magenta, yellow, green, blue } = this.#c;
    return [cyan, magenta, yellow, green, blue][(task - 1) % 5]!;
  }

  /** Where the call is in the port, as a link; and where in Pingora, if there is room. */
  #places(span: TraceSpan, width: number): Piece[] {
    const { rust, ts } = span;
    const { dim } = this.#c;
    const inPingora = rust?.line === undefined ? undefined : `${rust.file}:${rust.line}`;
    if (this.#options.rust) {
      const text = inPingora === undefined ? '' : clipPath(inPingora, width);
      return text === '' ? [] : [{ text, paint: dim, href: this.#permalink(span) }];
    }
    if (ts === null) return [];
    const text = clipPath(this.#options.bare ? ts.file : `${ts.file}:${ts.line}`, width);
    if (text === '') return [];
    const url = pathToFileURL(join(projectRoot, ts.file));
    const port: Piece = { text, paint: dim, href: `file://${hostname()}${url.pathname}#L${ts.line}` };
    const short = inPingora?.split('/').at(-1);
    if (this.#options.bare || short === undefined || text.length + short.length + 1 > width) return [port];
    return [port, { text: ' ' }, { text: short, paint: dim, href: this.#permalink(span) }];
  }

  #permalink({ rust }: TraceSpan): string | undefined {
    if (rust?.line === undefined) return undefined;
    return `https://github.com/cloudflare/pingora/blob/${this.#trace.pingora}/${rust.file}#L${rust.line}`;
  }

  /** What is to be said of a call beside its name. */
  #facts(span: TraceSpan): string {
    const summary = this.#options.bare ? undefined : summaryOf(span);
    return printable(
      summary ??
        Object.entries(span.attributes)
          .map(([key, value]) => `${key}=${value}`)
          .join(' '),
    );
  }

  /** The bytes and frames of a call, below it. */
  #pushWire(span: TraceSpan, below: string): void {
    const lane = this.#lane(span.task);
    const { dim, bold } = this.#c;
    const at = `${below}  `;
    const room = this.#width - 2 - at.length;
    for (const event of this.#wire.get(span.id) ?? []) {
      const head = clip(wireHead(event, this.#trace.connections ?? []), room);
      this.#push([{ text: '  ' }, { text: at, paint: lane }, { text: head, paint: bold }]);
      const lines = event.kind === 'bytes' ? bytesLines(event.bytes ?? '') : frameLines(event);
      for (const line of lines) {
        this.#push([
          { text: '  ' },
          { text: at, paint: lane },
          { text: clip(`  ${printable(line)}`, room), paint: dim },
        ]);
      }
    }
  }

  #times(calls: TraceSpan[]): Piece[] {
    let total = 0;
    let wait = 0;
    for (const span of calls) {
      if (span.end === null) continue;
      total += span.end - span.start;
      wait += waited(span);
    }
    const open = calls.every((span) => span.end === null);
    const whole = open ? '' : duration(total);
    const waiting = wait >= 1 ? `⧗${duration(wait)}` : '';
    return [{ text: whole.padStart(TIMES - WAIT) + waiting.padStart(WAIT), paint: this.#c.dim }];
  }

  get #hasTimes(): boolean {
    return !this.#options.bare && this.#width >= WITH_TIMES;
  }

  #call(calls: TraceSpan[], indent: string, below: string): void {
    const span = calls[0]!;
    const { bold, dim, red, yellow } = this.#c;
    const lane = this.#lane(span.task);
    const spine = this.#spine.has(span);
    const gutter: Piece = { text: spine ? '▌ ' : '  ', paint: (text) => bold(lane(text)) };
    const marks: Piece[] = [];
    if (calls.length > 1) marks.push({ text: ` ×${calls.length}`, paint: bold });
    if (span.status === 'error') marks.push({ text: ' ✗ error', paint: red });
    else if (span.status === 'cancelled') marks.push({ text: ' ⊘ cancelled', paint: yellow });
    if (span.end === null) marks.push({ text: ' … to the end', paint: dim });

    const room = this.#width - (this.#hasTimes ? TIMES + 1 : 0);
    const used = gutter.text.length + indent.length + marks.reduce((sum, { text }) => sum + text.length, 0);
    const name = clip(printable(span.fn), room - used);
    const href = this.#permalink(span);
    const left: Piece[] = [
      gutter,
      { text: indent, paint: lane },
      { text: name, paint: spine ? bold : undefined, href },
      ...marks,
    ];
    let free = room - used - name.length;
    const facts = this.#facts(span);
    const saying = span.status === 'error' ? red : span.in || span.out || span.changed ? undefined : dim;
    const places = this.#places(span, free - 2);
    if (places.length > 0) {
      left.push({ text: '  ' }, ...places);
      free -= 2 + places.reduce((sum, { text }) => sum + text.length, 0);
    }
    const fits = facts.length + 2 <= free;
    if (facts !== '' && fits) left.push({ text: `  ${facts}`, paint: saying });
    this.#push(left, this.#hasTimes ? this.#times(calls) : []);
    if (facts !== '' && !fits) {
      const at = `${below}  `;
      this.#push([
        { text: '  ' },
        { text: at, paint: lane },
        { text: clip(facts, this.#width - 2 - at.length), paint: saying },
      ]);
    }
    this.#pushWire(span, below);
  }

  /** The indentation, its outermost levels left out if it would take too much of the line. */
  #indent(levels: string): string {
    const most = Math.min(INDENT, Math.floor(this.#width * 0.44));
    return levels.length <= most ? levels : `⋯ ${levels.slice(levels.length - most + 2)}`;
  }

  #size(items: Item[]): number {
    let calls = 0;
    for (const item of items) {
      if ('task' in item) continue;
      for (const span of item.calls) calls += 1 + this.#size(this.#items(span));
    }
    return calls;
  }

  #walk(items: Item[], levels: string, depth: number, task: number): void {
    const lane = this.#lane(task);
    if (depth >= (this.#options.depth ?? Number.POSITIVE_INFINITY)) {
      const hidden = this.#size(items);
      if (hidden > 0) {
        const text = `… ${hidden} ${hidden === 1 ? 'call' : 'calls'} below`;
        this.#push([{ text: '  ' }, { text: this.#indent(`${levels}└ `), paint: lane }, { text, paint: this.#c.dim }]);
      }
      return;
    }
    for (const [index, item] of items.entries()) {
      const last = index === items.length - 1;
      const top = depth === 0;
      const indent = this.#indent(top ? '' : `${levels}${last ? '└ ' : '├ '}`);
      const next = top ? '' : `${levels}${last ? '  ' : '│ '}`;
      if ('task' in item) {
        const text = clip(
          `⇢ task ${item.task.id} ${printable(item.task.name)}${onThread(item.task)}`,
          this.#width - 2 - indent.length,
        );
        this.#push([{ text: '  ' }, { text: indent, paint: lane }, { text, paint: this.#lane(item.task.id) }]);
      } else {
        const below = this.#items(item.calls[0]!);
        this.#call(item.calls, indent, this.#indent(next));
        this.#walk(below, next, depth + 1, task);
      }
    }
  }

  #task(task: TraceTask): void {
    const roots = this.#roots(task);
    if (roots.length === 0 && this.#shown.size < this.#trace.spans.length) return;
    const lane = this.#lane(task.id);
    const { bold, dim } = this.#c;
    const by = task.spawnedBy === null ? undefined : this.#byId.get(task.spawnedBy);
    const head = clip(`● task ${task.id}  ${printable(task.name)}${onThread(task)}`, this.#width);
    const from = by ? clip(`  ⇠ ${printable(by.fn)}, task ${by.task}`, this.#width - head.length) : '';
    this.#lines.push('');
    this.#push([
      { text: head, paint: (text) => bold(lane(text)) },
      { text: from, paint: dim },
    ]);
    this.#walk(this.#fold(roots), '', 0, task.id);
  }

  print(): string {
    const { about, comparison, bare, lanes } = this.#options;
    if (bare) {
      for (const task of this.#trace.tasks) if (lanes?.includes(task.id) ?? true) this.#task(task);
      return `${this.#lines.slice(1).join('\n')}\n`;
    }
    const { bold, dim, green, red } = this.#c;
    const { scenario, spans, tasks } = this.#trace;
    const title = about === undefined ? '' : clip(`  ${about}`, this.#width - scenario.length);
    this.#push([
      { text: clip(scenario, this.#width), paint: bold },
      { text: title, paint: dim },
    ]);
    this.#push([
      {
        text: clip(
          `▌ from run_forever to process_new_http   ⇢ spawns a task${this.#hasTimes ? '   ⧗ waited, of the time before it' : ''}`,
          this.#width,
        ),
        paint: dim,
      },
    ]);
    for (const task of tasks) if (lanes?.includes(task.id) ?? true) this.#task(task);
    if (this.#shown.size < spans.length && this.#options.level !== undefined) {
      const more = this.#options.level === 'main' ? '--level phases and --level all show' : '--level all shows';
      this.#lines.push(
        '',
        dim(clip(`${spans.length - this.#shown.size} calls are not shown: ${more} more`, this.#width)),
      );
    }
    this.#lines.push('', `${count(spans.length, 'call')}, ${count(tasks.length, 'task')}`);
    if (comparison) {
      const { recorded, reached, misplaced, disorder, miscounted } = comparison;
      const equal = reached === recorded && misplaced.length + disorder.length + miscounted.length === 0;
      const reach = `reached ${reached} of ${recorded} calls that Pingora ${this.#trace.pingora} made`;
      const rest = `${misplaced.length} misplaced, ${disorder.length} out of order, ${miscounted.length} miscounted`;
      const paint = equal ? green : red;
      if (reach.length + rest.length + 2 <= this.#width) this.#lines.push(`${paint(reach)}; ${rest}`);
      else this.#lines.push(paint(clip(reach, this.#width)), clip(rest, this.#width));
    } else {
      const none = `no record of Pingora ${this.#trace.pingora} in this scenario to compare with`;
      this.#lines.push(clip(none, this.#width));
    }
    return `${this.#lines.join('\n')}\n`;
  }
}

function frameLines({ facts = {} }: FrameEvent): string[] {
  return Object.entries(facts).flatMap(([name, value]) => (Array.isArray(value) ? value : [`${name}: ${value}`]));
}

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;

/** The trace as a tree. */
export function printTree(trace: TraceDocument, options: TreeOptions = {}): string {
  return new Tree(options.from === undefined ? trace : onlyFrom(trace, options.from), options).print();
}

/** The calls of a function, which may be named by its end, with all that they called and spawned. */
export function onlyFrom(trace: TraceDocument, fn: string): TraceDocument {
  const kept = new Set<number>();
  const roots = new Set<number>();
  for (const { id, fn: name, parent } of trace.spans) {
    const inside = parent !== null && kept.has(parent);
    if (!inside && !(name === fn || name.endsWith(`::${fn}`))) continue;
    kept.add(id);
    if (!inside) roots.add(id);
  }
  const tasks = new Map(trace.tasks.map((task) => [task.id, task]));
  const spans = trace.spans
    .filter(({ id }) => kept.has(id))
    .map((span) => (roots.has(span.id) ? { ...span, parent: tasks.get(span.task)!.spawnedBy } : span));
  const used = new Set(spans.map(({ task }) => task));
  return { ...trace, spans, tasks: trace.tasks.filter(({ id }) => used.has(id)) };
}

/**
 * The call stack that leads from `run_forever` to `process_new_http`, innermost call first as debuggers show it, across
 * the tasks that lie between. Empty if no request got there.
 */
export function printStack(trace: TraceDocument, options: TreeOptions = {}): string {
  const c = createColors(options.colour ?? false);
  const width = options.width ?? 100;
  const byId = new Map(trace.spans.map((span) => [span.id, span]));
  const lines: string[] = [];
  let at = trace.spans.find((span) => SPINE_END.test(span.fn));
  let task = at?.task;
  for (let frame = 0; at; frame++) {
    if (at.task !== task) lines.push(c.dim(`    ⇡ spawned task ${task}`));
    task = at.task;
    const fn = clip(`${String(frame).padStart(2)}  ${at.fn}`, width);
    const place = at.rust?.line === undefined ? '' : `${at.rust.file}:${at.rust.line}`;
    const port = at.ts === null ? '' : `${at.ts.file}:${at.ts.line}`;
    lines.push(c.bold(fn), c.dim(`      ${clip(place, width - 6)}`), c.dim(`      ${clip(port, width - 6)}`));
    at = at.parent === null ? undefined : byId.get(at.parent);
  }
  return lines.length === 0 ? 'no request reached process_new_http\n' : `${lines.join('\n')}\n`;
}
