import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { chapterByTable, chapterByText, explained, namesOf } from '../../explorer/chapters.ts';
import { placeOfStop, stepOf } from '../../explorer/location.ts';
import { Steps } from '../../explorer/steps.ts';
import { COMPARE, COURSE, tours } from '../../explorer/tours.ts';
import { chapters } from '../../scripts/explorer.ts';
import { levelOf } from '../../src/formats/levels.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import { declaredSites, projectRoot } from '../../src/tracing/sites.ts';
import { runScenario } from '../support/scenario.ts';

const tmp = mkdtempSync(join(tmpdir(), 'tours-test-'));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

const book = new Map(
  readdirSync(join(projectRoot, 'walkthrough'))
    .filter((folder) => /^\d\d-/.test(folder))
    .map((folder) => [
      folder.slice(0, 2),
      readFileSync(join(projectRoot, 'walkthrough', folder, 'README.md'), 'utf8').replaceAll('&lt;', '<'),
    ]),
);

/** The chapter's text names the function, whole or by its own name. */
function names(chapter: string, fn: string): boolean {
  const text = book.get(chapter) ?? '';
  return text.includes(fn) || new RegExp(`[\`:]${/\w+$/.exec(fn)![0]}\``).test(text);
}

/** What every stop's chapter is. Where the words are about more than their function, the stop says so itself. */
const CHAPTERS: Readonly<Record<string, string>> = {
  h1: '04 04 05 06 07 10 12 13 13 14 20 14 14 14 15 15 15 15 15 14 19',
  keepalive: '08 12 12 14 14 14 15 15 15 14 14 08 08 08 14 14 14 14 15 14 08',
  'tls-h2': '10 04 06 07 07 10 10 11 11 11 11 11 14 14 14 15 15 19',
  retry: '12 18 13 18 14 14 14 17 17 17 18 18 18 18 14 14 15 15',
  'graceful-shutdown': '21 06 06 10 12 12 13 15 14 19 08 21 05 05 21',
  upgrade: '21 21 04 21 06 21 10 12 13 15 19 21 21 21 21 05',
};

describe('a tour', () => {
  const byRule = chapters();

  test.each(tours)(
    'of $scenario stops at calls that are there, in their order, each with the chapter that explains it',
    async ({ scenario, stops }) => {
      const steps = new Steps(await runScenario(findScenario(scenario)!, { tmp }));
      const at = stops.map((stop) => stepOf(placeOfStop(scenario, stop), steps));
      expect(at).toEqual([...at].sort((a, b) => a - b));
      expect(stops.length).toBeGreaterThanOrEqual(15);
      expect(stops.length).toBeLessThanOrEqual(22);
      for (const { title, text } of stops) {
        expect(title.length).toBeLessThan(60);
        expect(text).toMatch(/[.:)]$/);
      }
      const found = stops.map(({ chapter }, i) => {
        const { fn, rust } = steps.spans[steps.spanAt(at[i]!)]!;
        const name = namesOf(fn, rust?.file ?? null).find((one) => Object.hasOwn(byRule, one));
        const number = chapter ?? (name === undefined ? 'none' : byRule[name]!);
        expect(names(number, fn), `chapter ${number} says nothing of ${fn}`).toBe(true);
        return number;
      });
      expect(found.join(' ')).toBe(CHAPTERS[scenario]);
    },
  );

  test('shows the part of the state that its words name', () => {
    for (const { scenario, stops } of tours) {
      for (const { title, text, look } of stops) {
        if (/\bState\b/.test(text)) expect(look, `${scenario}: ${title}`).toBeDefined();
      }
    }
  });
});

describe('the chapter of a function', () => {
  test('is one that tells of it, for all that have one by the table', () => {
    const known = new Set(declaredSites().flatMap(({ fn, rust }) => [fn, `${fn}#${rust}`]));
    // what an application must have is declared in the trait alone
    const abstract = ['ProxyHttp::new_ctx', 'ProxyHttp::upstream_peer'];
    // its steps are all that chapter 15 tells of
    const unnamed = ['HttpProxy::proxy_to_h1_upstream'];
    for (const name of explained) {
      if (!abstract.includes(name)) expect(known, name).toContain(name);
      const [fn, file] = name.split('#') as [string, string?];
      if (!unnamed.includes(fn)) expect(names(chapterByTable(fn, file ?? null)!, fn), name).toBe(true);
    }
  });

  test('is there for the functions of the main path that a request passes', () => {
    const found = chapters();
    const without = declaredSites()
      .filter((site) => levelOf({ fn: site.fn, rust: site.rust === null ? null : { file: site.rust } }) === 'main')
      .filter(({ fn, rust }) => !Object.hasOwn(found, `${fn}#${rust}`))
      .map(({ fn }) => fn);
    expect(without.sort()).toEqual([
      '<PrometheusHttpApp as ServeHttp>::response',
      'NoStealRuntime::shutdown_timeout',
      'Runtime::shutdown_timeout',
    ]);
  });

  test('is the one that says most of it, not the first that mentions it', () => {
    const claim = '<!-- claim: a.rs A::go -->';
    const texts = [
      { number: '00', text: `\`A::go\` ${claim.repeat(9)}` },
      { number: '01', text: 'calls: A::go  src/a.ts, and `A::go`' },
      { number: '02', text: `It goes.${claim} It goes on.${claim}` },
      { number: '03', text: 'B::go  src/b.ts' },
    ];
    expect(chapterByText('A::go', 'a.rs', texts)).toBe('02');
    expect(chapterByText('A::go', 'other.rs', texts)).toBe('01');
    expect(chapterByText('B::go', 'b.rs', texts)).toBeNull();
    expect(chapterByText('C::go', null, texts)).toBeNull();
  });
});

test('the scenarios of the course are there, and those that are worth being compared', () => {
  const named = [...COURSE, ...COMPARE.keys(), ...[...COMPARE.values()].flat()];
  expect(named.filter((name) => findScenario(name) === undefined)).toEqual([]);
  const onwards = tours.flatMap((tour) => (tour.onwards === undefined ? [] : [tour.onwards.with]));
  expect(onwards.filter((name) => findScenario(name) === undefined)).toEqual([]);
});
