import { describe, expect, test } from 'vitest';
import { checkSaid, readSaid } from '../../scripts/book/exercises.ts';
import { makeTrace } from '../tracing/made.ts';

const trace = makeTrace([{ fn: 'Server::run_forever', calls: [{ fn: 'Server::run_service' }] }], 'h1');
const wrongIn = (text: string) => checkSaid(text, 'PAGE', async () => trace);

const GOOD = `<!-- exercise: h1 -->
**1.** How often is it called?

\`\`\`sh
npm run trace -- h1 --only server
\`\`\`

<details><summary>Answer</summary>

Once.
<!-- shows: call="Server::run_service" times=1 under="Server::run_forever" -->

</details>
<!-- end exercise -->
`;

describe('an exercise', () => {
  test('whose answer is what the run shows is right', async () => {
    expect(readSaid(GOOD).exercises).toBe(1);
    expect(await wrongIn(GOOD)).toEqual([]);
  });

  test.each([
    ['runs show otherwise', ['Once', 'Twice'], ['times=1', 'times=2'], 'Server::run_service under'],
    ['doesn’t say the number', ['Once', 'Often'], ['', ''], "doesn't say 1"],
    ['isn’t held against a run', [/<!-- shows[^\n]*/, ''], ['', ''], 'no run is held against'],
    ['isn’t folded away', ['<details><summary>Answer</summary>', ''], ['', ''], 'no answer that is folded away'],
  ])('whose answer %s is wrong', async (_, [a, b], [c, d], message) => {
    const text = GOOD.replace(a!, b as string).replace(c!, d!);
    expect((await wrongIn(text)).join()).toContain(message);
  });

  test.each([
    ['without a command', 'npm run trace -- h1 --only server', '', 'has no command'],
    ['that runs another scenario', 'npm run trace -- h1', 'npm run trace -- post', "doesn't run h1"],
    ['with another’s number', '**1.**', '**2.**', "doesn't begin with its number"],
  ])('%s is wrong', async (_, from, to, message) => {
    expect((await wrongIn(GOOD.replace(from, to))).join()).toContain(message);
  });

  test('without an end is an error', async () => {
    await expect(wrongIn(GOOD.replace('<!-- end exercise -->', ''))).rejects.toThrow('1 exercises begin and 0 end');
  });
});

describe('a sentence with an unseen `shows`', () => {
  test('is held against the scenario that it names', async () => {
    expect(await wrongIn('<!-- shows: h1 absent="Server::walk" -->')).toEqual([]);
    expect(await wrongIn('<!-- shows: h1 call="<T as A>::walk" -->')).toEqual(['PAGE: h1: <T as A>::walk: 0 times']);
    expect(await wrongIn('<!-- shows: h1 overlap="Server::run_service; Server::walk" -->')).toHaveLength(1);
  });

  test('that names no scenario, or one word too many, is an error', async () => {
    await expect(wrongIn('<!-- shows: absent="Server::walk" -->')).rejects.toThrow('of which scenario?');
    await expect(wrongIn('<!-- shows: h1 h2 absent="Server::walk" -->')).rejects.toThrow('what is h2?');
  });
});
