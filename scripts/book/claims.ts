/**
 * What a sentence about Pingora rests on: a comment after it, which no reader sees, names the function at tag 0.1.0.
 *
 * ```md
 * An error that timed out is never retried.<!-- claim: pingora-core/src/protocols/http/v1/client.rs HttpSession::read_response -->
 * ```
 *
 * Several functions have a semicolon between them; one in the same file as the one before needs no file.
 * `npm run book -- --claims` lists all of them, and a claim on a function that Pingora hasn't fails the check.
 */
import { rustFunctions } from '../../src/tracing/sites.ts';

export interface Claim {
  page: string;
  line: number;
  /** What is claimed: the text since the claim before, or since its paragraph began. */
  text: string;
  /** Pingora's functions, as the table of functions has them: the file, `#`, the name. */
  functions: string[];
}

const CLAIM = /<!-- claim: ((?:(?!-->)[\s\S])*?) -->/g;

function functionsOf(given: string): string[] {
  let file = '';
  return given.split(';').map((one) => {
    const named = /^\s*(\S+\.rs)\s+([\s\S]+?)\s*$/.exec(one);
    if (named !== null) file = named[1]!;
    return `${file}#${(named?.[2] ?? one).trim()}`;
  });
}

/** What is read of a piece of a page: no comments, no addresses of links. */
const readable = (markdown: string) =>
  markdown
    .replace(/<!--[\s\S]*?-->|<\/?sup>/g, '')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();

/** Every claim of a page, in order. */
export function claimsOf(markdown: string, page: string): Claim[] {
  let at = 0;
  return [...markdown.matchAll(CLAIM)].map((match) => {
    const before = markdown.slice(at, match.index);
    // a paragraph begins after an empty line, an item or a row of a table on its own line
    const begin = Math.max(before.lastIndexOf('\n\n'), before.lastIndexOf('\n- '), before.lastIndexOf('\n| '), 0);
    at = match.index + match[0].length;
    const line = markdown.slice(0, match.index).split('\n').length;
    return { page, line, text: readable(before.slice(begin)), functions: functionsOf(match[1]!) };
  });
}

/** What is wrong with a page's claims. */
export function claimErrors(markdown: string, page: string): string[] {
  const wrong: string[] = [];
  const opened = markdown.split('<!-- claim').length - 1;
  const claims = claimsOf(markdown, page);
  if (opened !== claims.length) wrong.push(`${page}: ${opened} claims begin and ${claims.length} are whole`);
  for (const { line, text, functions } of claims) {
    if (text === '') wrong.push(`${page}:${line}: a claim of nothing`);
    for (const one of functions) {
      if (!rustFunctions().has(one)) wrong.push(`${page}:${line}: Pingora has no ${one.replace('#', ': ')}`);
    }
  }
  return wrong;
}

/** The list of claims, for whoever reads them beside the source. */
export function printClaims(claims: readonly Claim[]): string {
  return claims
    .map(({ page, line, text, functions }) => `${page}:${line}  ${functions.join('; ')}\n    ${text}\n`)
    .join('');
}

/**
 * The place of a line of Pingora's source, as a link. Throws if the function hasn't that line: it begins later, or
 * another one begins before it.
 */
export function rustLine(file: string, line: number, fn: string): { text: string; file: string; line: number } {
  const start = rustFunctions().get(`${file}#${fn}`);
  if (start === undefined) throw new Error(`Pingora has no ${fn} in ${file}`);
  const next = Math.min(
    ...[...rustFunctions()].filter(([key, at]) => key.startsWith(`${file}#`) && at > start).map(([, at]) => at),
  );
  if (line < start || line >= next) throw new Error(`line ${line} of ${file} isn't in ${fn}, which begins at ${start}`);
  // as much of the path as tells which file it is
  const parts = file.split('/').slice(file.includes('/src/lib.rs') ? -3 : -2);
  return { text: `${parts.join('/')}:${line}`, file, line };
}
