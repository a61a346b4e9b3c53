import { expect, it } from 'vitest';
import { stale, tables } from '../scripts/tables.ts';

const { pages, problems } = tables();

it('every function of Pingora has a counterpart or a reason, every span a function, every deviation its test', () => {
  expect(problems).toEqual([]);
});

it('the tables in docs/ and the methods that call hooks are what the code says', () => {
  expect(stale(pages)).toEqual([]);
});
