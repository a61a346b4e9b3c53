/** Colours for TypeScript and Rust, and where a function ends. Simple on purpose: no parser, one pass over the text. */

export type Kind = 'plain' | 'comment' | 'string' | 'number' | 'keyword' | 'type' | 'decorator' | 'call';

export interface Token {
  kind: Kind;
  text: string;
}

const KEYWORDS = new Set(
  (
    'abstract as async await break case catch class const continue debugger default delete do else export extends ' +
    'false finally for from function get if implements import in instanceof interface keyof let new null of override ' +
    'private protected public readonly return satisfies set static super switch this throw true try type typeof ' +
    'undefined using var void while yield'
  ).split(' '),
);

const RUST_KEYWORDS = new Set(
  (
    'as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut ' +
    'pub ref return self Self static struct super trait true type unsafe use where while'
  ).split(' '),
);

export type Language = 'ts' | 'rust';

/** In Rust a single quote may begin a lifetime, and a backquote nothing. */
const RUST_STRING = /"(?:[^"\\]|\\.)*"?|'(?:[^'\\\n]|\\.)'/y;

const TOKEN = new RegExp(
  [
    '(?<comment>\\/\\/[^\\n]*|\\/\\*[\\s\\S]*?(?:\\*\\/|$))',
    '(?<string>\'(?:[^\'\\\\\\n]|\\\\.)*\'?|"(?:[^"\\\\\\n]|\\\\.)*"?)',
    '(?<template>`)',
    '(?<decorator>@[A-Za-z_$][\\w$]*(?:\\.[\\w$]+)*)',
    '(?<number>\\b(?:0[xbo][\\da-fA-F_]+|\\d[\\d_]*(?:\\.\\d+)?(?:e[+-]?\\d+)?)n?\\b)',
    '(?<word>#?[A-Za-z_$][\\w$]*)',
    '(?<space>\\s+)',
    '(?<other>[\\s\\S])',
  ].join('|'),
  'y',
);

/** After these a slash begins a regular expression, after anything else it divides. */
const BEFORE_REGEX = /(?:^|[=(,:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|yield|await))\s*$/;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;

function endOfTemplate(text: string, from: number): number {
  let depth = 0;
  for (let at = from + 1; at < text.length; at++) {
    const letter = text[at];
    if (letter === '\\') at++;
    else if (depth === 0 && letter === '`') return at + 1;
    else if (letter === '$' && text[at + 1] === '{') {
      depth++;
      at++;
    } else if (depth > 0 && letter === '{') depth++;
    else if (depth > 0 && letter === '}') depth--;
    else if (depth > 0 && letter === '`') at = endOfTemplate(text, at) - 1;
  }
  return text.length;
}

/** The text cut into pieces of one kind; together they are the text. */
export function tokenize(text: string, language: Language = 'ts'): Token[] {
  const isRust = language === 'rust';
  const keywords = isRust ? RUST_KEYWORDS : KEYWORDS;
  const tokens: Token[] = [];
  const push = (kind: Kind, piece: string) => {
    const last = tokens.at(-1);
    if (last?.kind === kind) last.text += piece;
    else tokens.push({ kind, text: piece });
  };
  let code = '';
  for (let at = 0; at < text.length; ) {
    if (isRust && (text[at] === '"' || text[at] === "'" || text[at] === '`')) {
      RUST_STRING.lastIndex = at;
      const literal = RUST_STRING.exec(text)?.[0] ?? text[at]!;
      push(literal.length > 1 ? 'string' : 'plain', literal);
      at += literal.length;
      continue;
    }
    if (!isRust && text[at] === '/' && text[at + 1] !== '/' && text[at + 1] !== '*' && BEFORE_REGEX.test(code)) {
      REGEX.lastIndex = at;
      const regex = REGEX.exec(text);
      if (regex) {
        push('string', regex[0]);
        at += regex[0].length;
        code = 'x';
        continue;
      }
    }
    TOKEN.lastIndex = at;
    const { groups } = TOKEN.exec(text)!;
    let piece = text.slice(at, TOKEN.lastIndex);
    if (groups!.comment !== undefined) push('comment', piece);
    else if (groups!.string !== undefined) push('string', piece);
    else if (groups!.template !== undefined) {
      piece = text.slice(at, endOfTemplate(text, at));
      push('string', piece);
    } else if (groups!.decorator !== undefined) push('decorator', piece);
    else if (groups!.number !== undefined) push('number', piece);
    else if (groups!.word !== undefined) {
      const next = text[at + piece.length];
      const isField = /[.?]\s*$/.test(code) && !code.endsWith('? ');
      if (keywords.has(piece) && !isField && (isRust || next !== ':')) push('keyword', piece);
      else if (/^[A-Z]/.test(piece) && /[a-z]/.test(piece)) push('type', piece);
      else push(next === '(' || next === '<' ? 'call' : 'plain', piece);
    } else push('plain', piece);
    if (groups!.comment === undefined && groups!.space === undefined) code = (code + piece).slice(-24);
    else if (groups!.space !== undefined && code !== '') code = `${code.trimEnd()} `;
    at += piece.length;
  }
  return tokens;
}

/** The tokens line by line: what runs over several lines is cut at their ends. */
export function lines(tokens: readonly Token[]): Token[][] {
  const found: Token[][] = [[]];
  for (const { kind, text } of tokens) {
    text.split('\n').forEach((part, i) => {
      if (i > 0) found.push([]);
      if (part !== '') found.at(-1)!.push({ kind, text: part });
    });
  }
  return found;
}

/**
 * The last line (from 1) of the function that begins at `line`: a method, or a wrapped function
 * (`rust.fn('name', () => { … })`). Where no end is found, the line itself.
 */
export function endOfFunction(tokens: readonly Token[], line: number): number {
  let at = 1;
  let depth = 0;
  let hadBrace = false;
  const code: { letter: string; line: number }[] = [];
  for (const { kind, text } of tokens) {
    for (const letter of text) {
      if (letter === '\n') at++;
      else if (at >= line && kind !== 'comment' && letter !== ' ' && letter !== '\r') {
        code.push({ letter: kind === 'string' ? '"' : letter, line: at });
      }
    }
  }
  for (let i = 0; i < code.length; i++) {
    const { letter, line: here } = code[i]!;
    if (letter === '(' || letter === '[' || letter === '{') depth++;
    if (letter === '{') hadBrace = true;
    if (letter === ')' || letter === ']' || letter === '}') depth--;
    if (depth < 0) return Math.max(line, here - 1);
    if (depth > 0) continue;
    if (letter === ';') return here;
    // A closed brace ends a method, unless it closed a type in its signature: then the body or more type follows.
    if (letter === '}' && hadBrace && !'{>|&[,'.includes(code[i + 1]?.letter ?? ';')) return here;
  }
  return line;
}

/**
 * The line (from 1) where a function calls another one by `name`, between two lines of its source; the `n`th such call,
 * from 1, or the last if there are fewer. Null: nowhere, for it is called through something else.
 */
export function findCall(
  source: readonly (readonly Token[])[],
  from: number,
  to: number,
  name: string,
  n: number,
): number | null {
  const pattern = new RegExp(`(?:^|[^\\w$])${name.replace(/[$]/g, '\\$&')}\\s*(?:<[^()]*>)?\\(`, 'g');
  let last: number | null = null;
  let found = 0;
  for (let line = from + 1; line <= to; line++) {
    const code = (source[line - 1] ?? []).filter(({ kind }) => kind !== 'comment' && kind !== 'string');
    const text = code.map((token) => token.text).join('');
    for (const _ of text.matchAll(pattern)) {
      last = line;
      found++;
      if (found === n) return line;
    }
  }
  return last;
}

/** The name that a function has in the port, from the line that declares it: a method, or a constant. */
export function declaredName(line: string): string | null {
  const [, constant] = /\bconst (\w+) =/.exec(line) ?? [];
  if (constant !== undefined) return constant;
  const [, method] =
    /^\s*(?:(?:export|public|private|protected|static|override|async|function)\s+)*\*?\s*([\w$#]+)\s*[(<]/.exec(line) ??
    [];
  return method ?? null;
}
