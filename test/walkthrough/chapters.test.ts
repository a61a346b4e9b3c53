/** What the chapters say of traces, in their `shows.json`, held against real runs. */
import { describe, expect, test } from 'vitest';
import { missing } from '../../scripts/book/shows.ts';
import { chapters, showsOf, Traces } from '../../scripts/book.ts';

const traces = new Traces();

describe.each(chapters())('chapter %s', (chapter) => {
  test.concurrent('shows what it says', async () => {
    const untrue: string[] = [];
    for (const { scenario, shows } of showsOf(chapter)) {
      const trace = await traces.get(scenario);
      for (const show of shows) {
        const why = missing(trace, show);
        if (why !== null) untrue.push(`${scenario}: ${why}`);
      }
    }
    expect(untrue).toEqual([]);
  });
});
