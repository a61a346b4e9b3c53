import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { placeOfStop, stepOf } from '../../explorer/location.ts';
import { Steps } from '../../explorer/steps.ts';
import { COURSE, tours } from '../../explorer/tours.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import { runScenario } from '../../src/scenarios/run.ts';

const tmp = mkdtempSync(join(tmpdir(), 'tours-test-'));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

describe('a tour', () => {
  test.each(tours)('of $scenario stops at calls that are there, in their order', async ({ scenario, stops }) => {
    const steps = new Steps(await runScenario(findScenario(scenario)!, { tmp }));
    const at = stops.map((stop) => stepOf(placeOfStop(scenario, stop), steps));
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(stops.length).toBeGreaterThanOrEqual(15);
    expect(stops.length).toBeLessThanOrEqual(22);
    for (const { title, text } of stops) {
      expect(title.length).toBeLessThan(60);
      expect(text).toMatch(/[.:)]$/);
    }
  });
});

test('the scenarios of the course are there', () => {
  expect(COURSE.filter((name) => findScenario(name) === undefined)).toEqual([]);
});
