/** The lanes of tasks: what shows of them, zoom and pan, and clicks. */
import { duration } from '../format.ts';
import {
  follow,
  Lanes,
  pan,
  type Scale,
  stepScale,
  type TimeScale,
  timeScale,
  type View as Window,
  zoom,
} from '../lanes.ts';
import { byId, onceAFrame } from './dom.ts';
import { AXIS, type Colours, type Frame, PAD, Painter, ROW, readColours } from './lanes-paint.ts';
import type { Host, Opened, View } from './view.ts';

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

  #place(x: number): number {
    const { from, to } = this.#window;
    return from + ((x - PAD) / (this.#width - 2 * PAD)) * (to - from);
  }

  #paint(): void {
    if (this.#opened === null || this.#width === 0) return;
    this.#colours ??= readColours();
    const { steps } = this.#opened;
    const scales = this.#scales!;
    const frame: Frame = {
      steps,
      lanes: this.#lanes!,
      scale: this.#scale,
      time: this.#kind === 'time' ? scales.time : null,
      window: this.#window,
      top: this.#top,
      step: this.#step,
      width: this.#width,
      height: this.#height,
    };
    new Painter(this.#context, frame, this.#colours).paint();
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
