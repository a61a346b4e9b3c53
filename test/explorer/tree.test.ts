import { expect, test } from 'vitest';
import { Steps } from '../../explorer/steps.ts';
import { Tree } from '../../explorer/tree.ts';
import { makeTrace } from '../tracing/made.ts';

const make = () =>
  new Tree(
    new Steps(
      makeTrace([
        {
          fn: 'a',
          calls: [
            { fn: 'b', calls: [{ fn: 'c' }] },
            { fn: 'd', task: 'other' },
          ],
        },
        { fn: 'e' },
      ]),
    ),
  );
const names = (tree: Tree) => [...tree.rows].map((span) => tree.steps.spans[span]!.fn).join(' ');

test('all calls have a row, below the call that made them', () => {
  expect(names(make())).toBe('a b c d e');
});

test('a call of a task that goes on later has its row in the tree, not in time', () => {
  const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b', task: 'other' }] }, { fn: 'c' }]);
  trace.spans.push({ ...structuredClone(trace.spans[1]!), id: 4, parent: 2, fn: 'late', start: 80, end: 81 });
  expect(names(new Tree(new Steps(trace)))).toBe('a b late c');
});

test('a fold takes away what the call made, and unfolding brings it back', () => {
  const tree = make();
  expect(tree.fold(1)).toBe(true);
  expect(names(tree)).toBe('a b d e');
  expect(tree.rowOf(2)).toBeNull();
  expect(tree.rowOf(3)).toBe(2);
  tree.fold(0);
  expect(names(tree)).toBe('a e');
  tree.fold(0);
  expect(names(tree)).toBe('a b d e');
  tree.unfold();
  expect(names(tree)).toBe('a b c d e');
});

test('what made no calls has nothing to fold', () => {
  const tree = make();
  expect([tree.canFold(2), tree.fold(2)]).toEqual([false, false]);
});

test('a call inside folds is revealed without unfolding others', () => {
  const tree = make();
  tree.fold(1);
  tree.fold(0);
  expect(tree.reveal(3)).toBe(true);
  expect(names(tree)).toBe('a b d e');
  expect(tree.reveal(3)).toBe(false);
});

test('rows know their place among their siblings, and the first call of a task', () => {
  const tree = make();
  expect(tree.placeOf(3)).toEqual({ position: 2, of: 2 });
  expect(tree.placeOf(4)).toEqual({ position: 2, of: 2 });
  expect([0, 1, 3].map((span) => tree.isFirstOfTask(span))).toEqual([true, false, true]);
});
