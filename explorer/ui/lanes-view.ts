/** The lanes of tasks, drawn on a canvas: ten thousand boxes are no burden to it. */
import { axisTime, duration } from '../format.ts';
import {
  type Box,
  follow,
  type Lane,
  Lanes,
  marks,
  pan,
  type Scale,
  stepScale,
  type TimeScale,
  timeMarks,
  timeScale,
  type View as Window,
  zoom,
} from '../lanes.ts';
import { byId, hueOf, isDark, onceAFrame } from './dom.ts';
import type { Host, Opened, View } from './view.ts';

const ROW = 18;
const AXIS = 22;
const PAD = 10;
const RUN = 3;

interface Colours {
  ink: string;
  muted: string;
  line: string;
  accent: string;
  error: string;
  panel: string;
  fill: (task: number) => string;
  strong: (task: number) => string;
  name: (task: number) => string;
}

export class LanesView implements View {
  readonly #host: Host;
  readonly #canvas: HTMLCanvasElement;
  readonly #tip = byId('lanes-tip');
  readonly #context: CanvasRenderingContext2D;
  readonly #draw = onceAFrame(() => this.#paint());
  readonly #pointers = new Map<number, { x: number; y: number }>();
  #opened: Opened | null = null;
  #lanes: Lanes | null = null;
  #scales: { time: TimeScale; steps: Scale } | null = null;
  #kind: 'time' | 'steps' = 'time';
  #window: Window = { from: 0, to: 1 };
  #top = 0;
  #step = 0;
  #width = 0;
  #height = 0;
  #dragged = false;
  #colours: Colours | null = null;

  constructor(host: Host, canvas: HTMLCanvasElement) {
    this.#host = host;
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d')!;
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement!);
    canvas.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener('pointerdown', (event) => this.#down(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('pointerup', (event) => this.#up(event));
    canvas.addEventListener('pointercancel', (event) => this.#pointers.delete(event.pointerId));
    canvas.addEventListener('pointerleave', () => (this.#tip.hidden = true));
    byId('zoom-in').addEventListener('click', () => this.zoom(1.6));
    byId('zoom-out').addEventListener('click', () => this.zoom(1 / 1.6));
    byId('zoom-fit').addEventListener('click', () => this.fit());
    for (const kind of ['time', 'steps'] as const) {
      byId(`scale-${kind}`).addEventListener('click', () => this.setScale(kind));
    }
  }

  open(opened: Opened): void {
    this.#opened = opened;
    this.#lanes = new Lanes(opened.steps);
    this.#scales = { time: timeScale(opened.steps), steps: stepScale(opened.steps) };
    this.#top = 0;
    byId('runs-legend').hidden = !opened.steps.spans.some(({ runs }) => runs);
    this.fit();
  }

  update(step: number): void {
    this.#step = step;
    const box = this.#lanes!.boxOf(this.#opened!.steps.spanAt(step));
    this.#window = follow(this.#window, this.#scale.ofStep(step));
    const lane = this.#lanes!.laneOf(this.#opened!.steps.spans[box.span]!.task);
    const y = (lane.top + box.row) * ROW;
    const room = this.#height - AXIS;
    if (y - ROW < this.#top || y + 2 * ROW > this.#top + room) this.#top = y - room / 2;
    this.#clampTop();
    this.#canvas.setAttribute(
      'aria-label',
      `Lanes of tasks. ${this.#opened!.steps.spans[box.span]!.fn} in ${lane.name}`,
    );
    this.#draw();
  }

  refresh(): void {
    this.#colours = null;
    this.#resize();
  }

  /** Equal room for equal times, or for each step. */
  setScale(kind: 'time' | 'steps'): void {
    this.#kind = kind;
    for (const one of ['time', 'steps'] as const) {
      byId(`scale-${one}`).setAttribute('aria-pressed', String(one === kind));
    }
    if (this.#opened === null) return;
    this.fit();
    this.update(this.#step);
  }

  toggleScale(): void {
    this.setScale(this.#kind === 'time' ? 'steps' : 'time');
  }

  /** Zoom around the current step. */
  zoom(factor: number): void {
    const place = this.#scale.ofStep(this.#step);
    const { from, to } = this.#window;
    this.#zoomAt(factor, place >= from && place <= to ? place : (from + to) / 2);
  }

  fit(): void {
    this.#window = { from: 0, to: 1 };
    this.#draw();
  }

  /** Move by a share of what shows. */
  pan(across: number, down: number): void {
    const { from, to } = this.#window;
    this.#window = pan(this.#window, (to - from) * across);
    this.#top += down * (this.#height - AXIS);
    this.#clampTop();
    this.#draw();
  }

  get #scale(): Scale {
    return this.#scales![this.#kind];
  }

  /** So close that a tenth of a microsecond, or a single step, fills the panel. */
  get #closest(): number {
    const { steps } = this.#opened!;
    return this.#kind === 'steps' ? 2 / steps.count : 1 / Math.max(2, (steps.lastTime - steps.time(0)) * 2);
  }

  #zoomAt(factor: number, place: number): void {
    this.#window = zoom(this.#window, factor, place, this.#closest);
    this.#draw();
  }

  #clampTop(): void {
    const height = this.#lanes!.rows * ROW + ROW;
    this.#top = Math.max(0, Math.min(this.#top, height - (this.#height - AXIS)));
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas.parentElement!;
    if (clientWidth === 0 || clientHeight === 0) return;
    const ratio = devicePixelRatio || 1;
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    this.#canvas.style.width = `${clientWidth}px`;
    this.#canvas.style.height = `${clientHeight}px`;
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.#opened) this.update(this.#step);
    this.#paint();
  }

  #x(place: number): number {
    const { from, to } = this.#window;
    return PAD + ((place - from) / (to - from)) * (this.#width - 2 * PAD);
  }

  #place(x: number): number {
    const { from, to } = this.#window;
    return from + ((x - PAD) / (this.#width - 2 * PAD)) * (to - from);
  }

  #y(lane: Lane, row: number): number {
    return AXIS + (lane.top + row) * ROW - this.#top;
  }

  #readColours(): Colours {
    const probe = document.createElement('span');
    document.body.append(probe);
    const read = (name: string) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const dark = isDark();
    const colours: Colours = {
      ink: read('ink'),
      muted: read('muted'),
      line: read('line'),
      accent: read('accent'),
      error: read('error'),
      panel: read('panel'),
      fill: (task) => (dark ? `hsl(${hueOf(task)} 30% 25%)` : `hsl(${hueOf(task)} 62% 90%)`),
      name: (task) => (dark ? `hsl(${hueOf(task)} 62% 70%)` : `hsl(${hueOf(task)} 58% 32%)`),
      strong: (task) => (dark ? `hsl(${hueOf(task)} 62% 66%)` : `hsl(${hueOf(task)} 58% 44%)`),
    };
    probe.remove();
    return colours;
  }

  #paint(): void {
    if (this.#opened === null || this.#width === 0) return;
    this.#colours ??= this.#readColours();
    const colours = this.#colours;
    const context = this.#context;
    context.clearRect(0, 0, this.#width, this.#height);
    context.textBaseline = 'middle';
    context.save();
    context.beginPath();
    context.rect(0, AXIS, this.#width, this.#height - AXIS);
    context.clip();
    for (const lane of this.#lanes!.lanes) this.#paintLane(lane, colours);
    this.#paintArrows(colours);
    this.#paintCurrent(colours);
    context.restore();
    this.#paintAxis(colours);
  }

  #paintLane(lane: Lane, colours: Colours): void {
    const context = this.#context;
    const top = this.#y(lane, -1);
    if (top > this.#height || this.#y(lane, lane.rows) < AXIS) return;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, Math.round(top) + 0.5);
    context.lineTo(this.#width, Math.round(top) + 0.5);
    context.stroke();
    for (let row = 0; row < lane.rows; row++) {
      const y = this.#y(lane, row);
      if (y > this.#height) break;
      if (y + ROW < AXIS) continue;
      this.#paintRow(lane, lane.byRow[row]!, y, colours);
    }
    // The name stays in sight as long as any of the lane is.
    const nameTop = Math.max(top + 1, Math.min(AXIS, this.#y(lane, lane.rows) - ROW));
    context.font = '600 11px system-ui, sans-serif';
    context.fillStyle = colours.panel;
    context.fillRect(0, nameTop, context.measureText(lane.name).width + 2 * PAD, ROW - 1);
    context.fillStyle = colours.name(lane.task);
    context.fillText(lane.name, PAD, nameTop + ROW / 2);
  }

  #paintRow(lane: Lane, boxes: Box[], y: number, colours: Colours): void {
    const context = this.#context;
    const { steps } = this.#opened!;
    const scale = this.#scale;
    context.font = '11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace';
    let drawnTo = -1;
    for (const box of boxes) {
      const from = this.#x(scale.ofStep(box.begin));
      const to = this.#x(scale.ofStep(box.end));
      if (to < 0) continue;
      if (from > this.#width) break;
      const { status, runs, fn } = steps.spans[box.span]!;
      // What would fall on the pixel that is drawn already adds nothing.
      if (to < drawnTo + 0.5 && status === 'ok') continue;
      const left = Math.max(from, -4);
      const width = Math.max(Math.min(to, this.#width + 4) - left, 1.5);
      drawnTo = Math.max(drawnTo, left + width);
      context.fillStyle = colours.fill(lane.task);
      context.fillRect(left, y + 1, width, ROW - 2);
      context.fillStyle = colours.strong(lane.task);
      const bottom = y + ROW - 1 - RUN;
      if (runs === undefined) context.fillRect(left, bottom, width, RUN);
      else {
        for (const [start, end] of runs) {
          const runFrom = Math.max(this.#x(scale.at(start)), left);
          const runTo = Math.min(this.#x(scale.at(end)), left + width);
          if (runTo >= left && runFrom <= left + width) {
            context.fillRect(runFrom, bottom, Math.max(runTo - runFrom, 1), RUN);
          }
        }
      }
      if (status !== 'ok') {
        context.strokeStyle = status === 'error' ? colours.error : colours.muted;
        context.setLineDash(status === 'error' ? [] : [3, 2]);
        context.lineWidth = 1;
        context.strokeRect(left + 0.5, y + 1.5, Math.max(width - 1, 1), ROW - 3);
        context.setLineDash([]);
      }
      if (width > 26) {
        const letters = Math.floor((width - 8) / 6.62);
        const name = fn.length <= letters ? fn : fn.slice(fn.lastIndexOf('::') + 2);
        context.fillStyle = colours.ink;
        const shown = name.length <= letters ? name : letters > 3 ? `${name.slice(0, letters - 1)}…` : '';
        context.fillText(shown, Math.max(left, 0) + 4, y + (ROW - RUN) / 2 + 0.5);
      }
    }
  }

  #paintArrows(colours: Colours): void {
    const context = this.#context;
    context.lineWidth = 1.2;
    for (const { from, fromLane, to, toLane, time } of this.#lanes!.arrows) {
      const x2 = this.#x(this.#scale.ofStep(to.begin));
      const x1 = Math.min(x2, time === null ? x2 : this.#x(this.#scale.at(time)));
      if (x2 < 0 || x1 > this.#width) continue;
      const y1 = this.#y(fromLane, from.row) + ROW - 2;
      const y2 = this.#y(toLane, to.row) + 1;
      // A line between two calls that are both out of sight would only be in the way.
      const inSight = (y: number) => y > AXIS - ROW && y < this.#height + ROW;
      if (!inSight(y1) && !inSight(y2)) continue;
      const bend = Math.max(8, Math.min(24, Math.abs(y2 - y1) / 3));
      const down = y2 >= y1 ? 1 : -1;
      context.strokeStyle = colours.strong(toLane.task);
      context.fillStyle = colours.strong(toLane.task);
      context.beginPath();
      context.moveTo(x1, y1);
      context.bezierCurveTo(x1 - 6, y1 + down * bend, x2 - 10, y2 - down * bend, x2, y2);
      context.stroke();
      context.beginPath();
      context.moveTo(x2 + 1, y2 + 1);
      context.lineTo(x2 - 5, y2 - 4 * down);
      context.lineTo(x2 + 1, y2 - 6 * down);
      context.fill();
    }
  }

  #paintCurrent(colours: Colours): void {
    const context = this.#context;
    const { steps } = this.#opened!;
    const box = this.#lanes!.boxOf(steps.spanAt(this.#step));
    const lane = this.#lanes!.laneOf(steps.spans[box.span]!.task);
    const from = Math.max(this.#x(this.#scale.ofStep(box.begin)), -4);
    const to = Math.min(this.#x(this.#scale.ofStep(box.end)), this.#width + 4);
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.strokeRect(from, this.#y(lane, box.row) + 1, Math.max(to - from, 2), ROW - 2);
    const x = Math.round(this.#x(this.#scale.ofStep(this.#step))) + 0.5;
    context.strokeStyle = colours.accent;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, AXIS);
    context.lineTo(x, this.#height);
    context.stroke();
  }

  #paintAxis(colours: Colours): void {
    const context = this.#context;
    const { steps } = this.#opened!;
    context.font = '10.5px system-ui, sans-serif';
    context.fillStyle = colours.muted;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, AXIS - 0.5);
    context.lineTo(this.#width, AXIS - 0.5);
    context.stroke();
    const most = Math.max(2, Math.floor(this.#width / 110));
    const mark = (x: number, text: string) => {
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, AXIS - 5);
      context.lineTo(Math.round(x) + 0.5, AXIS);
      context.stroke();
      context.fillText(text, x + 3, AXIS / 2 - 1);
    };
    if (this.#kind === 'steps') {
      const { from, to } = this.#window;
      for (const value of marks(from * steps.count, to * steps.count, most)) {
        if (Number.isInteger(value)) mark(this.#x(value / steps.count), `${value + 1}`);
      }
    } else {
      const { time: scale } = this.#scales!;
      const { times, distance } = timeMarks(scale, this.#window, most);
      for (const time of times) mark(this.#x(scale.at(time)), axisTime(time, distance));
      this.#paintPauses(scale, colours);
    }
    const x = this.#x(this.#scale.ofStep(this.#step));
    context.fillStyle = colours.accent;
    context.beginPath();
    context.moveTo(x - 5, AXIS - 7);
    context.lineTo(x + 5, AXIS - 7);
    context.lineTo(x, AXIS);
    context.fill();
  }

  /** Pauses are cut out of the axis, with their length in the gap. */
  #paintPauses({ pauses }: TimeScale, colours: Colours): void {
    const context = this.#context;
    for (const { from, to, startTime, endTime } of pauses) {
      const [x1, x2] = [this.#x(from), this.#x(to)];
      if (x2 < 0 || x1 > this.#width) continue;
      context.fillStyle = colours.panel;
      context.fillRect(x1, 0, x2 - x1, AXIS);
      context.strokeStyle = colours.muted;
      context.setLineDash([2, 3]);
      context.beginPath();
      for (const x of [x1, x2]) {
        context.moveTo(Math.round(x) + 0.5, 2);
        context.lineTo(Math.round(x) + 0.5, this.#height);
      }
      context.moveTo(x1, AXIS - 0.5);
      context.lineTo(x2, AXIS - 0.5);
      context.stroke();
      context.setLineDash([]);
      const text = `… ${duration(endTime - startTime)} …`;
      const width = context.measureText(text).width;
      context.fillStyle = colours.muted;
      if (width < x2 - x1) context.fillText(text, (x1 + x2 - width) / 2, AXIS / 2);
    }
  }

  #hit(x: number, y: number): number | null {
    if (this.#opened === null || y < AXIS) return null;
    const row = Math.floor((y - AXIS + this.#top) / ROW);
    const reach = (3 / (this.#width - 2 * PAD)) * (this.#window.to - this.#window.from);
    return this.#lanes!.hit(row, this.#place(x), this.#scale, reach);
  }

  #wheel(event: WheelEvent): void {
    if (this.#opened === null) return;
    event.preventDefault();
    const { from, to } = this.#window;
    if (event.ctrlKey || event.metaKey || event.altKey) {
      this.#zoomAt(Math.exp(-event.deltaY * 0.003), this.#place(event.offsetX));
      return;
    }
    const across = event.shiftKey ? event.deltaY : event.deltaX;
    if (across !== 0) this.#window = pan(this.#window, (across / this.#width) * (to - from));
    if (!event.shiftKey) this.#top += event.deltaY;
    this.#clampTop();
    this.#draw();
  }

  #down(event: PointerEvent): void {
    if (this.#opened === null || event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.#pointers.size === 1) this.#dragged = false;
  }

  #move(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    const now = { x: event.offsetX, y: event.offsetY };
    if (before === undefined) {
      this.#showTip(now);
      return;
    }
    if (!this.#dragged && Math.hypot(now.x - before.x, now.y - before.y) < 4) return;
    this.#dragged = true;
    this.#tip.hidden = true;
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const was = Math.abs(before.x - other.x);
      const is = Math.abs(now.x - other.x);
      if (was > 8 && is > 8) this.#zoomAt(is / was, this.#place((now.x + other.x) / 2));
    } else {
      const { from, to } = this.#window;
      this.#window = pan(this.#window, ((before.x - now.x) / (this.#width - 2 * PAD)) * (to - from));
      this.#top += before.y - now.y;
      this.#clampTop();
    }
    this.#pointers.set(event.pointerId, now);
    this.#draw();
  }

  #up(event: PointerEvent): void {
    if (!this.#pointers.delete(event.pointerId) || this.#dragged) return;
    const span = this.#hit(event.offsetX, event.offsetY);
    if (span !== null) this.#host.go(this.#opened!.steps.beginOf(span), 'jump');
  }

  #showTip({ x, y }: { x: number; y: number }): void {
    const span = this.#hit(x, y);
    this.#canvas.style.cursor = span === null ? 'grab' : 'pointer';
    this.#tip.hidden = span === null;
    if (span === null) return;
    const { fn, start, end, status } = this.#opened!.steps.spans[span]!;
    const time = end === null ? 'never ended' : duration(end - start);
    this.#tip.textContent = `${fn} · ${time}${status === 'ok' ? '' : ` · ${status}`}`;
    const left = Math.max(4, Math.min(x + 12, this.#width - this.#tip.offsetWidth - 4));
    this.#tip.style.transform = `translate(${left}px, ${y > this.#height - 40 ? y - 32 : y + 16}px)`;
  }
}
