import { describe, expect, test } from 'vitest';
import { follow, Lanes, marks, pan, stepScale, timeMarks, timeScale, zoom } from '../../explorer/lanes.ts';
import { Steps } from '../../explorer/steps.ts';
import { makeTrace } from '../tracing/made.ts';

const trace = () =>
  makeTrace([
    {
      fn: 'a',
      calls: [{ fn: 'b' }, { fn: 'c', task: 'worker', calls: [{ fn: 'd' }] }, { fn: 'e' }],
    },
  ]);

describe('lanes', () => {
  test('are one a task, in order, with room for their names', () => {
    const lanes = new Lanes(new Steps(trace()));
    expect(lanes.lanes.map(({ name, top, rows }) => ({ name, top, rows }))).toEqual([
      { name: 'main', top: 1, rows: 2 },
      { name: 'worker', top: 4, rows: 2 },
    ]);
    expect(lanes.rows).toBe(6);
  });

  test('have a row for each level of calls, from the task’s first', () => {
    const steps = new Steps(trace());
    const lanes = new Lanes(steps);
    expect(steps.spans.map(({ fn }, span) => `${fn}${lanes.boxOf(span).row}`)).toEqual(['a0', 'b1', 'c0', 'd1', 'e1']);
  });

  test('put calls that go on at the same time below each other', () => {
    const two = makeTrace([{ fn: 'a', calls: [{ fn: 'b', calls: [{ fn: 'c' }] }, { fn: 'd' }] }]);
    const [, b, c, d] = two.spans;
    b!.end = c!.end = d!.end! - 1;
    const lanes = new Lanes(new Steps(two));
    expect([1, 2, 3].map((span) => lanes.boxOf(span).row)).toEqual([1, 2, 3]);
  });

  test('never have two boxes of one row overlap', () => {
    const many = makeTrace([{ fn: 'a' }]);
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % below;
    };
    for (let i = 2; i <= 400; i++) {
      const start = many.spans.at(-1)!.start + random(4);
      const end = random(10) === 0 ? null : start + random(60);
      many.spans.push({ ...many.spans[0]!, id: i, parent: 1 + random(i - 1), fn: `f${i}`, start, end });
    }
    const [lane] = new Lanes(new Steps(many)).lanes;
    for (const row of lane!.byRow) {
      for (let i = 1; i < row.length; i++) expect(row[i]!.begin).toBeGreaterThanOrEqual(row[i - 1]!.end);
    }
  });

  test('leave out tasks that made no call', () => {
    const more = trace();
    more.tasks.push({ id: 9, name: 'idle', spawnedBy: 1 });
    const lanes = new Lanes(new Steps(more));
    expect(lanes.lanes.map(({ name }) => name)).not.toContain('idle');
    expect(lanes.arrows).toHaveLength(1);
  });

  test('have an arrow from the call that spawned to the task’s first', () => {
    const lanes = new Lanes(new Steps(trace()));
    expect(lanes.arrows).toMatchObject([{ from: { span: 0 }, to: { span: 2 }, toLane: { name: 'worker' } }]);
  });

  test('tell what is at a point, or near it', () => {
    const steps = new Steps(trace());
    const lanes = new Lanes(steps);
    const scale = timeScale(steps);
    const { begin, end } = lanes.boxOf(3);
    const inside = (scale.ofStep(begin) + scale.ofStep(end)) / 2;
    expect(lanes.hit(5, inside, scale, 0)).toBe(3);
    expect(lanes.hit(5, scale.ofStep(end) + 0.01, scale, 0)).toBeNull();
    expect(lanes.hit(5, scale.ofStep(end) + 0.01, scale, 0.02)).toBe(3);
    expect(lanes.hit(3, inside, scale, 1)).toBeNull();
  });
});

describe('a scale', () => {
  test('of time has lengths as long as calls took', () => {
    const steps = new Steps(trace());
    const scale = timeScale(steps);
    const whole = steps.lastTime - steps.time(0);
    expect(scale.ofStep(0)).toBe(0);
    expect(scale.ofStep(steps.count)).toBe(1);
    expect(scale.at(steps.time(0) + whole / 4)).toBeCloseTo(0.25);
  });

  test('of steps has the same room for each, and times between', () => {
    const steps = new Steps(trace());
    const scale = stepScale(steps);
    expect(scale.ofStep(3) - scale.ofStep(2)).toBeCloseTo(scale.ofStep(8) - scale.ofStep(7));
    expect(scale.at(steps.time(4))).toBeCloseTo(scale.ofStep(4));
    const between = (steps.time(4) + steps.time(5)) / 2;
    expect(scale.at(between)).toBeCloseTo((scale.ofStep(4) + scale.ofStep(5)) / 2);
    expect(scale.at(-5)).toBe(0);
    expect(scale.at(1e9)).toBe(scale.ofStep(steps.count - 1));
  });

  test('bears a trace in which no time passes', () => {
    const still = makeTrace([{ fn: 'a' }]);
    still.spans[0]!.end = still.spans[0]!.start;
    const steps = new Steps(still);
    for (const scale of [timeScale(steps), stepScale(steps)]) {
      expect(Number.isFinite(scale.at(10)) && Number.isFinite(scale.ofStep(1))).toBe(true);
    }
  });
});

describe('a pause', () => {
  const paused = () => {
    const long = makeTrace([{ fn: 'a', calls: Array.from({ length: 10 }, (_, i) => ({ fn: `c${i}` })) }]);
    for (const span of long.spans.slice(6)) {
      span.start += 1_000_000;
      span.end! += 1_000_000;
    }
    long.spans[0]!.end! += 1_000_000;
    return new Steps(long);
  };

  test('that would leave no room for the rest is shortened', () => {
    const steps = paused();
    const scale = timeScale(steps);
    expect(scale.pauses).toHaveLength(1);
    const [{ from, to, startTime, endTime }] = scale.pauses as [(typeof scale.pauses)[0]];
    expect(to - from).toBeLessThan(0.3);
    expect(endTime - startTime).toBeGreaterThan(900_000);
    expect([scale.at(startTime), scale.at(endTime)]).toEqual([from, to]);
    for (const time of [15, 62, 500_000, 1_000_090]) expect(scale.timeAt(scale.at(time))).toBeCloseTo(time, 3);
    let last = -1;
    for (let step = 0; step <= steps.count; step++) {
      expect(scale.ofStep(step)).toBeGreaterThanOrEqual(last);
      last = scale.ofStep(step);
    }
    expect(last).toBe(1);
  });

  test('has no marks inside', () => {
    const scale = timeScale(paused());
    const [{ startTime, endTime }] = scale.pauses as [(typeof scale.pauses)[0]];
    const { times } = timeMarks(scale, { from: 0, to: 1 }, 8);
    expect(times.filter((time) => time > startTime && time < endTime)).toEqual([]);
    expect(times.some((time) => time <= startTime) && times.some((time) => time >= endTime)).toBe(true);
    expect(times.length).toBeLessThanOrEqual(16);
  });

  test('among others as long is not', () => {
    expect(timeScale(new Steps(trace())).pauses).toEqual([]);
  });
});

describe('the window', () => {
  test('zooms around a place and not beyond the whole', () => {
    const close = zoom({ from: 0, to: 1 }, 4, 0.5, 0.001);
    expect(close).toEqual({ from: 0.375, to: 0.625 });
    expect(zoom(close, 0.01, 0.5, 0.001)).toEqual({ from: 0, to: 1 });
    expect(zoom(close, 1e9, 0.5, 0.001).to - zoom(close, 1e9, 0.5, 0.001).from).toBeCloseTo(0.001);
  });

  test('stops at the ends', () => {
    expect(pan({ from: 0.2, to: 0.4 }, -1)).toEqual({ from: 0, to: 0.2 });
    expect(pan({ from: 0.2, to: 0.4 }, 5).to).toBeCloseTo(1);
    expect(pan({ from: 0, to: 1 }, 0.3)).toEqual({ from: 0, to: 1 });
  });

  test('follows what leaves it, and stays for what is inside', () => {
    const window = { from: 0.2, to: 0.4 };
    expect(follow(window, 0.3)).toBe(window);
    const moved = follow(window, 0.8);
    expect(moved.from).toBeCloseTo(0.7);
    expect(moved.to).toBeCloseTo(0.9);
  });
});

test('the marks of an axis are round', () => {
  expect(marks(0, 100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
  expect(marks(13, 27, 4)).toEqual([15, 20, 25]);
  expect(marks(5, 5, 4)).toEqual([]);
});
