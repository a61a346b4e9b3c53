import { describe, expect, test } from 'vitest';
import { commentAbove, firstSentence } from '../../explorer/words.ts';

describe('the sentence of a function', () => {
  test('is the first of its comment, without markup', () => {
    expect(firstSentence('/** Reads the `head`, see {@link Session.read}. Then more. */')).toBe(
      'Reads the head, see Session.read.',
    );
    expect(firstSentence('/**\n * Two\n * lines: and a rest\n *\n * @param a b\n */')).toBe('Two lines: and a rest.');
    expect(firstSentence('/** @internal */')).toBeNull();
  });

  test('comes from the comment above its decorator, or none', () => {
    const source = 'class A {\n  /** Says it. */\n  @rust.method("A::b")\n  b() {}\n\n  // no\n  c() {}\n}\n';
    expect(commentAbove(source, 4)).toBe('/** Says it. */');
    expect(commentAbove(source, 7)).toBeNull();
  });
});
