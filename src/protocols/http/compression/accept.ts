/**
 * The list of RFC 8941 (structured fields), as far as Accept-Encoding needs it: the original reads that field with the
 * sfv crate, and so as strictly. A list that breaks the rules anywhere is no list.
 */

const BARE =
  String.raw`(?:-?\d{1,12}\.\d{1,3}|-?\d{1,15}|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"` +
  String.raw`|[A-Za-z*][!#$%&'*+\-.^_\x60|~0-9A-Za-z:/]*|:[A-Za-z0-9+/=]*:|\?[01])`;
const PARAMS = String.raw`(?:; *[a-z*][a-z0-9_\-.*]*(?:=${BARE})?)*`;
const INNER = String.raw`\( *(?:${BARE}${PARAMS}(?: +${BARE}${PARAMS})*)? *\)`;
const MEMBER = new RegExp(`(?:(${BARE})|${INNER})(${PARAMS})`, 'y');
/** RFC 9110 12.4.2: what has this weight is refused. */
const NEVER = /; *q=(?:0|0\.0{0,3}|-\d+(?:\.\d+)?) *(?:;|$)/;
const COMMA = /[ \t]*,[ \t]*/y;
const TOKEN = /^[A-Za-z*]/;

/** The tokens of a list, its other members and those of weight 0 left out; undefined if it isn't one. */
export function parseTokens(text: string): string[] | undefined {
  const input = text.replace(/^ +| +$/g, '');
  const tokens: string[] = [];
  if (input === '') return tokens;
  for (let at = 0; ; ) {
    MEMBER.lastIndex = at;
    const member = MEMBER.exec(input);
    if (member === null) return undefined;
    const [, bare, params = ''] = member;
    if (bare !== undefined && TOKEN.test(bare) && !NEVER.test(params)) tokens.push(bare);
    at = MEMBER.lastIndex;
    if (at === input.length) return tokens;
    COMMA.lastIndex = at;
    if (COMMA.exec(input) === null) return undefined;
    at = COMMA.lastIndex;
  }
}
