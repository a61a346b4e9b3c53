/** Draws the lanes on a canvas: ten thousand boxes are no burden to it. */
import { axisTime, duration } from '../format.ts';
import {
  type Box,
  type Lane,
  type Lanes,
  marks,
  type Scale,
  type TimeScale,
  timeMarks,
  type View as Window,
} from '../lanes.ts';
import type { Steps } from '../steps.ts';
import { hueOf, isDark } from './dom.ts';

/** Sizes in pixels: a row, the axis on top, the edge on either side, the line of a run. */
export const ROW = 18;
export const AXIS = 22;
export const PAD = 10;
const RUN = 3;

/** What is to be drawn. */
export interface Frame {
  steps: Steps;
  lanes: Lanes;
  scale: Scale;
  /** The scale, if it is that of time. */
  time: TimeScale | null;
  /** What shows of it. */
  window: Window;
  /** How far it is scrolled down. */
  top: number;
  step: number;
  width: number;
  height: number;
}

export interface Colours {
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

/** The page's colours as they are now: a canvas knows nothing of style sheets. */
export function readColours(): Colours {
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

/** Draws one frame. */
export class Painter {
  readonly #context: CanvasRenderingContext2D;
  readonly #frame: Frame;
  readonly #colours: Colours;

  constructor(context: CanvasRenderingContext2D, frame: Frame, colours: Colours) {
    this.#context = context;
    this.#frame = frame;
    this.#colours = colours;
  }

  #x(place: number): number {
    const { from, to } = this.#frame.window;
    return PAD + ((place - from) / (to - from)) * (this.#frame.width - 2 * PAD);
  }

  #y(lane: Lane, row: number): number {
    return AXIS + (lane.top + row) * ROW - this.#frame.top;
  }

  #paintLane(lane: Lane, colours: Colours): void {
    const context = this.#context;
    const top = this.#y(lane, -1);
    if (top > this.#frame.height || this.#y(lane, lane.rows) < AXIS) return;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, Math.round(top) + 0.5);
    context.lineTo(this.#frame.width, Math.round(top) + 0.5);
    context.stroke();
    for (let row = 0; row < lane.rows; row++) {
      const y = this.#y(lane, row);
      if (y > this.#frame.height) break;
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
    const { steps } = this.#frame;
    const scale = this.#frame.scale;
    context.font = '11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace';
    let drawnTo = -1;
    for (const box of boxes) {
      const from = this.#x(scale.ofStep(box.begin));
      const to = this.#x(scale.ofStep(box.end));
      if (to < 0) continue;
      if (from > this.#frame.width) break;
      const { status, runs, fn } = steps.spans[box.span]!;
      // What would fall on the pixel that is drawn already adds nothing.
      if (to < drawnTo + 0.5 && status === 'ok') continue;
      const left = Math.max(from, -4);
      const width = Math.max(Math.min(to, this.#frame.width + 4) - left, 1.5);
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
    for (const { from, fromLane, to, toLane, time } of this.#frame.lanes.arrows) {
      const x2 = this.#x(this.#frame.scale.ofStep(to.begin));
      const x1 = Math.min(x2, time === null ? x2 : this.#x(this.#frame.scale.at(time)));
      if (x2 < 0 || x1 > this.#frame.width) continue;
      const y1 = this.#y(fromLane, from.row) + ROW - 2;
      const y2 = this.#y(toLane, to.row) + 1;
      // A line between two calls that are both out of sight would only be in the way.
      const inSight = (y: number) => y > AXIS - ROW && y < this.#frame.height + ROW;
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
    const { steps } = this.#frame;
    const box = this.#frame.lanes.boxOf(steps.spanAt(this.#frame.step));
    const lane = this.#frame.lanes.laneOf(steps.spans[box.span]!.task);
    const from = Math.max(this.#x(this.#frame.scale.ofStep(box.begin)), -4);
    const to = Math.min(this.#x(this.#frame.scale.ofStep(box.end)), this.#frame.width + 4);
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.strokeRect(from, this.#y(lane, box.row) + 1, Math.max(to - from, 2), ROW - 2);
    const x = Math.round(this.#x(this.#frame.scale.ofStep(this.#frame.step))) + 0.5;
    context.strokeStyle = colours.accent;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, AXIS);
    context.lineTo(x, this.#frame.height);
    context.stroke();
  }

  #paintAxis(colours: Colours): void {
    const context = this.#context;
    const { steps } = this.#frame;
    context.font = '10.5px system-ui, sans-serif';
    context.fillStyle = colours.muted;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, AXIS - 0.5);
    context.lineTo(this.#frame.width, AXIS - 0.5);
    context.stroke();
    const most = Math.max(2, Math.floor(this.#frame.width / 110));
    const mark = (x: number, text: string) => {
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, AXIS - 5);
      context.lineTo(Math.round(x) + 0.5, AXIS);
      context.stroke();
      context.fillText(text, x + 3, AXIS / 2 - 1);
    };
    const { time: scale } = this.#frame;
    if (scale === null) {
      const { from, to } = this.#frame.window;
      for (const value of marks(from * steps.count, to * steps.count, most)) {
        if (Number.isInteger(value)) mark(this.#x(value / steps.count), `${value + 1}`);
      }
    } else {
      const { times, distance } = timeMarks(scale, this.#frame.window, most);
      for (const time of times) mark(this.#x(scale.at(time)), axisTime(time, distance));
      this.#paintPauses(scale, colours);
    }
    const x = this.#x(this.#frame.scale.ofStep(this.#frame.step));
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
      if (x2 < 0 || x1 > this.#frame.width) continue;
      context.fillStyle = colours.panel;
      context.fillRect(x1, 0, x2 - x1, AXIS);
      context.strokeStyle = colours.muted;
      context.setLineDash([2, 3]);
      context.beginPath();
      for (const x of [x1, x2]) {
        context.moveTo(Math.round(x) + 0.5, 2);
        context.lineTo(Math.round(x) + 0.5, this.#frame.height);
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

  paint(): void {
    const colours = this.#colours;
    const context = this.#context;
    context.clearRect(0, 0, this.#frame.width, this.#frame.height);
    context.textBaseline = 'middle';
    context.save();
    context.beginPath();
    context.rect(0, AXIS, this.#frame.width, this.#frame.height - AXIS);
    context.clip();
    for (const lane of this.#frame.lanes.lanes) this.#paintLane(lane, colours);
    this.#paintArrows(colours);
    this.#paintCurrent(colours);
    context.restore();
    this.#paintAxis(colours);
  }
}
