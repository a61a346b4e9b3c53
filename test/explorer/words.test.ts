import { describe, expect, test } from 'vitest';
import { commentAbove, firstSentence } from '../../explorer/words.ts';
import { sentences } from '../../scripts/explorer.ts';
import { declaredSites } from '../../src/tracing/sites.ts';

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

test('every function that can be traced has its sentence', () => {
  const known = sentences();
  const missing = declaredSites().filter(
    ({ fn, rust }) => known[`${fn}#${rust}`] === undefined && known[fn] === undefined,
  );
  expect(missing.map(({ fn, file, line }) => `${fn} ${file}:${line}`)).toEqual([]);
  // an application has these, and none of them a default with a span
  for (const hook of ['new_ctx', 'upstream_peer', 'request_body_filter', 'logging']) {
    expect(known[`ProxyHttp::${hook}`], hook).toMatch(/\.$/);
  }
  expect(known['ServeHttp::response']).toMatch(/\.$/);
});
