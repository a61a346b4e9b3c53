/** What the chapters have, and what they say of traces, in their `shows.json`, held against real runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkSaid } from '../../scripts/book/exercises.ts';
import { missing } from '../../scripts/book/shows.ts';
import { chapters, showsOf, Traces } from '../../scripts/book.ts';
import { projectRoot } from '../../src/tracing/sites.ts';
import { built } from '../support/built.ts';

const traces = new Traces({ program: built('src/scenarios/server.ts')! });

const PARTS = {
  question: /^# .+\n\n> /,
  code: /<!-- code: /,
  calls: /<!-- calls: /,
  picture: /!\[[^\]]+\]\(\.\.\/\.\.\/diagrams\//,
  'what if': /^## What would happen if …$/m,
  command: /^npm (?:run|start)/m,
  exercises: /(?:<!-- exercise: [\s\S]*?<!-- end exercise -->\s*){2}/,
  'closing line': /^\*\*What you know now\.\*\* /m,
};
/** What a chapter has no use for. */
const WITHOUT: Record<string, string[]> = {
  '00-async': ['picture'],
  '23-the-price-of-tracing': ['calls'],
  '24-wrong': ['code', 'calls'],
};

describe.each(chapters())('chapter %s', (chapter) => {
  test('asks first, shows code, calls and a picture, lets one try and predict, and says what one knows then', () => {
    const text = readFileSync(join(projectRoot, 'walkthrough', chapter, 'README.md'), 'utf8');
    const lacking = Object.entries(PARTS).filter(([, part]) => !part.test(text));
    expect(lacking.map(([name]) => name).filter((name) => !WITHOUT[chapter]?.includes(name))).toEqual([]);
  });

  test.concurrent('shows what it says', async () => {
    const untrue: string[] = [];
    for (const { scenario, shows } of showsOf(chapter)) {
      const trace = await traces.get(scenario);
      for (const show of shows) {
        const why = missing(trace, show);
        if (why !== null) untrue.push(`${scenario}: ${why}`);
      }
    }
    const page = `walkthrough/${chapter}/README.md`;
    untrue.push(...(await checkSaid(readFileSync(join(projectRoot, page), 'utf8'), page, (name) => traces.get(name))));
    expect(untrue).toEqual([]);
  });
});

test('each answer prints a trace or names the command that does', () => {
  const text = readFileSync(join(projectRoot, 'walkthrough/ANSWERS.md'), 'utf8');
  const [, ...answers] = text.split(/^## /m);
  expect(answers.length).toBeGreaterThan(30);
  const without = answers.filter((answer) => !/<!-- calls: |`npm run trace -- /.test(answer));
  expect(without.map((answer) => answer.split('\n')[0])).toEqual([]);
});
