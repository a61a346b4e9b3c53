/**
 * Where spans lie in the lanes of tasks: a lane a task, and in it a row for each level of calls. No drawing here.
 *
 * Two calls of one task may go on at the same time (two async functions awaited together): the second gets a row
 * further down rather than hiding the first.
 */
import type { Steps } from './steps.ts';

export interface Box {
  span: number;
  /** From the lane's top. */
  row: number;
  begin: number;
  end: number;
}

export interface Lane {
  task: number;
  name: string;
  /** Its first row from the top of all lanes, which have one row between them for the lane's name. */
  top: number;
  rows: number;
  boxes: Box[];
  /** In order of begin, by row: what is drawn and what a click looks through. */
  byRow: Box[][];
}

/** The task `to` was spawned by `from`. */
export interface Arrow {
  from: Box;
  fromLane: Lane;
  to: Box;
  toLane: Lane;
  /** When it was spawned, if the trace says so. */
  time: number | null;
}

/** Where a time is, from 0 to 1. */
export interface Scale {
  at(time: number): number;
  ofStep(step: number): number;
}

export class Lanes {
  readonly lanes: readonly Lane[];
  readonly arrows: readonly Arrow[];
  /** Rows of all lanes with the ones for their names. */
  readonly rows: number;
  readonly #boxes: Box[];
  readonly #laneOf = new Map<number, Lane>();

  constructor(steps: Steps) {
    const { tasks } = steps.trace;
    const lanes: Lane[] = [];
    for (const { id, name: task, thread } of tasks) {
      const name = thread === undefined ? task : `${task}, thread ${thread}`;
      const lane: Lane = { task: id, name, top: 0, rows: 0, boxes: [], byRow: [] };
      this.#laneOf.set(id, lane);
    }
    const rowOf: number[] = [];
    this.#boxes = steps.spans.map(({ task }, span) => {
      const lane = this.#laneOf.get(task)!;
      const begin = steps.beginOf(span);
      const end = steps.endOf(span) ?? steps.count;
      const parent = steps.parentOf(span);
      let row = parent !== null && !steps.isSpawned(span) ? rowOf[parent]! + 1 : 0;
      while (row < lane.byRow.length && lane.byRow[row]!.length > 0 && lane.byRow[row]!.at(-1)!.end > begin) row++;
      const box: Box = { span, row, begin, end };
      while (lane.byRow.length <= row) lane.byRow.push([]);
      lane.byRow[row]!.push(box);
      lane.boxes.push(box);
      rowOf.push(row);
      return box;
    });
    let top = 0;
    for (const lane of this.#laneOf.values()) {
      if (lane.boxes.length === 0) continue;
      lane.rows = lane.byRow.length;
      lane.top = top + 1;
      top = lane.top + lane.rows;
      lanes.push(lane);
    }
    this.lanes = lanes;
    this.rows = top;
    const indexes = new Map(steps.spans.map(({ id }, index) => [id, index]));
    this.arrows = tasks.flatMap(({ id, spawnedBy, start }): Arrow[] => {
      const lane = this.#laneOf.get(id)!;
      const to = lane.boxes[0];
      if (spawnedBy === null || to === undefined) return [];
      const from = this.#boxes[indexes.get(spawnedBy)!]!;
      return [{ from, fromLane: this.laneOf(steps.spans[from.span]!.task), to, toLane: lane, time: start ?? null }];
    });
  }

  boxOf(span: number): Box {
    return this.#boxes[span]!;
  }

  laneOf(task: number): Lane {
    return this.#laneOf.get(task)!;
  }

  /** The span at a row (from the top of all lanes) and a place (0 to 1), or one no further than `reach`. */
  hit(row: number, place: number, scale: Scale, reach: number): number | null {
    const lane = this.lanes.find(({ top, rows }) => row >= top && row < top + rows);
    if (lane === undefined) return null;
    let nearest: number | null = null;
    let distance = reach;
    for (const box of lane.byRow[row - lane.top]!) {
      const from = scale.ofStep(box.begin);
      const to = scale.ofStep(box.end);
      const off = place < from ? from - place : place > to ? place - to : 0;
      if (off <= distance) {
        nearest = box.span;
        distance = off;
        if (off === 0) break;
      }
    }
    return nearest;
  }
}

/** A stretch of time in which nothing happens and which is shown shorter than it was. */
export interface Pause {
  /** Where it is, from 0 to 1. */
  from: number;
  to: number;
  startTime: number;
  endTime: number;
}

export interface TimeScale extends Scale {
  readonly pauses: readonly Pause[];
  /** The time that is shown at a place. */
  timeAt(place: number): number;
}

/** A pause that takes this share of a trace, or less, is never shortened. */
const LONG_PAUSE = 0.1;
/** Pauses are shortened only where they take more than this share of the trace. */
const TOO_MUCH = 0.75;
/** All shortened pauses together take this much room, measured by the rest. */
const PAUSES_TO_REST = 0.4;

/**
 * Real time: the length of a box is how long it took. Only where long pauses would leave no room for what happens (a
 * second between two health checks, a grace period) they are shortened, and told as `pauses`.
 */
export function timeScale(steps: Steps): TimeScale {
  const start = steps.time(0);
  const whole = steps.lastTime - start;
  const long: number[] = [];
  let waited = 0;
  for (let step = 1; step < steps.count; step++) {
    const gap = steps.time(step) - steps.time(step - 1);
    if (gap <= whole * LONG_PAUSE) continue;
    long.push(step);
    waited += gap;
  }
  const rest = whole - waited;
  const shortened =
    rest > 0 && waited > whole * TOO_MUCH ? (rest * PAUSES_TO_REST) / long.length : Number.POSITIVE_INFINITY;
  // The corners of the line that leads from time to place.
  const times = [start];
  const places = [0];
  let cut = 0;
  const cuts: number[] = [];
  for (const step of long) {
    const [from, to] = [steps.time(step - 1), steps.time(step)];
    if (to - from <= shortened) continue;
    times.push(from, to);
    places.push(from - start - cut);
    cut += to - from - shortened;
    places.push(to - start - cut);
    cuts.push(times.length - 2);
  }
  times.push(start + Math.max(whole, 0.001));
  places.push(Math.max(whole - cut, 0.001));
  const shown = places.at(-1)!;
  for (let i = 0; i < places.length; i++) places[i]! /= shown;
  const at = (time: number) => interpolate(times, places, time);
  return {
    at,
    timeAt: (place) => interpolate(places, times, place),
    ofStep: (step) => (step >= steps.count ? 1 : at(steps.time(step))),
    pauses: cuts.map((i) => ({ from: places[i]!, to: places[i + 1]!, startTime: times[i]!, endTime: times[i + 1]! })),
  };
}

/** The value at `x` of the line through the corners (`xs` rise); beyond the ends it is the end's. */
function interpolate(xs: readonly number[], ys: readonly number[], x: number): number {
  let low = 0;
  let high = xs.length - 1;
  if (x <= xs[low]!) return ys[low]!;
  if (x >= xs[high]!) return ys[high]!;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle]! <= x) low = middle;
    else high = middle;
  }
  return ys[low]! + ((x - xs[low]!) / (xs[high]! - xs[low]!)) * (ys[high]! - ys[low]!);
}

/** Every step takes as much room as every other: nothing is too short to be seen, and no wait is long. */
export function stepScale(steps: Steps): Scale {
  const last = Math.max(1, steps.count);
  const ofStep = (step: number) => Math.min(step, steps.count) / last;
  return {
    ofStep,
    at(time) {
      let low = 0;
      let high = steps.count - 1;
      if (time <= steps.time(low)) return ofStep(low);
      if (time >= steps.time(high)) return ofStep(high);
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (steps.time(middle) <= time) low = middle;
        else high = middle;
      }
      const [from, to] = [steps.time(low), steps.time(high)];
      return ofStep(low) + ((time - from) / (to - from)) * (ofStep(high) - ofStep(low));
    },
  };
}

/** The part of the lanes that shows. */
export interface View {
  from: number;
  to: number;
}

const WHOLE: View = { from: 0, to: 1 };

/** Zoom by `factor` (over 1: closer) and keep `place` where it is. */
export function zoom({ from, to }: View, factor: number, place: number, closest: number): View {
  const width = Math.min(1, Math.max(closest, (to - from) / factor));
  const share = to > from ? (place - from) / (to - from) : 0.5;
  return pan({ from: place - share * width, to: place - share * width + width }, 0);
}

/** Move, no further than to the ends. */
export function pan({ from, to }: View, by: number): View {
  const width = to - from;
  if (width >= 1) return WHOLE;
  const start = Math.min(1 - width, Math.max(0, from + by));
  return { from: start, to: start + width };
}

/** The same view if the place is well inside it, else one that has it in the middle. */
export function follow(view: View, place: number): View {
  const width = view.to - view.from;
  const margin = width * 0.04;
  if (width >= 1 || (place >= view.from + margin && place <= view.to - margin)) return view;
  return pan({ from: place - width / 2, to: place + width / 2 }, 0);
}

/** Round times for the marks of a time axis over what shows of it, at most about `most`, none inside a pause. */
export function timeMarks(scale: TimeScale, view: View, most: number): { times: number[]; distance: number } {
  const [from, to] = [scale.timeAt(view.from), scale.timeAt(view.to)];
  const pauses = scale.pauses.filter((pause) => pause.to > view.from && pause.from < view.to);
  const paused = pauses.reduce((sum, { startTime, endTime }) => sum + (endTime - startTime), 0);
  const moving = Math.max((to - from - paused) / Math.max(0.2, 1 - (pauses.length === 0 ? 0 : 0.3)), 1e-6);
  const distance = roundDistance(moving / Math.max(1, most));
  const times: number[] = [];
  let next = from;
  for (const { startTime, endTime } of [...pauses, { startTime: to, endTime: to }]) {
    for (let i = Math.ceil(next / distance); i * distance <= startTime; i++) times.push(i * distance);
    next = endTime;
  }
  return { times, distance };
}

function roundDistance(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough * 0.999)!;
}

/** Round numbers between two, at most `most`. */
export function marks(from: number, to: number, most: number): number[] {
  const rough = (to - from) / Math.max(1, most);
  if (!(rough > 0)) return [];
  const distance = roundDistance(rough);
  const found: number[] = [];
  for (let i = Math.ceil(from / distance); i * distance <= to; i++) found.push(i * distance);
  return found;
}
