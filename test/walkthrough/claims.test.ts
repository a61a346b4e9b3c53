/** The functions of Pingora that the book's sentences rest on. */
import { describe, expect, test } from 'vitest';
import { claimErrors, claimsOf, printClaims, rustLine } from '../../scripts/book/claims.ts';

const LIB = 'pingora-proxy/src/lib.rs';
const CLIENT = 'pingora-core/src/protocols/http/v1/client.rs';
const page = `# 01 Title

Nothing is claimed here.

It tries sixteen times.<!-- claim: ${LIB} HttpProxy::process_request --> Then it
[gives](x.md) up.<!-- claim: ${LIB} HttpProxy::finish; <HttpProxy as HttpServerApp>::process_new_http -->

- a read that timed out<!-- claim: ${CLIENT} HttpSession::read_response -->
`;

describe('claims', () => {
  test('have their place, their functions and the sentence that they stand behind', () => {
    expect(claimsOf(page, 'p.md')).toEqual([
      { page: 'p.md', line: 5, text: 'It tries sixteen times.', functions: [`${LIB}#HttpProxy::process_request`] },
      {
        page: 'p.md',
        line: 6,
        text: 'Then it gives up.',
        functions: [`${LIB}#HttpProxy::finish`, `${LIB}#<HttpProxy as HttpServerApp>::process_new_http`],
      },
      { page: 'p.md', line: 8, text: '- a read that timed out', functions: [`${CLIENT}#HttpSession::read_response`] },
    ]);
    expect(claimErrors(page, 'p.md')).toEqual([]);
    expect(printClaims(claimsOf(page, 'p.md')).split('\n').slice(0, 2)).toEqual([
      `p.md:5  ${LIB}#HttpProxy::process_request`,
      '    It tries sixteen times.',
    ]);
  });

  test.each([
    [`So.<!-- claim: ${LIB} HttpProxy::no_such -->`, `p.md:1: Pingora has no ${LIB}: HttpProxy::no_such`],
    [`So.<!-- claim: ${CLIENT} HttpProxy::finish -->`, `p.md:1: Pingora has no ${CLIENT}: HttpProxy::finish`],
    [`<!-- claim: ${LIB} HttpProxy::finish -->`, 'p.md:1: a claim of nothing'],
    [`So.<!-- claim ${LIB} -->`, 'p.md: 1 claims begin and 0 are whole'],
  ])('that rest on nothing are errors: %s', (text, error) => {
    expect(claimErrors(text, 'p.md')).toEqual([error]);
  });
});

test('a line of the source is in the function that it is said to be in', () => {
  expect(rustLine(CLIENT, 203, 'HttpSession::read_response').text).toBe('v1/client.rs:203');
  expect(() => rustLine(CLIENT, 20, 'HttpSession::read_response')).toThrow('line 20 of');
  expect(() => rustLine(CLIENT, 900, 'HttpSession::read_response')).toThrow("isn't in");
  expect(() => rustLine(CLIENT, 203, 'HttpSession::no_such')).toThrow('Pingora has no');
});
