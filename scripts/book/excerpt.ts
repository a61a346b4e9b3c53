/** Cuts named pieces of the port's code, so that no chapter holds code that isn't compiled and tested. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { projectRoot } from '../../src/tracing/sites.ts';
import { pingoraName } from '../../src/tracing/span.ts';

export interface Excerpt {
  /** The code, without its indentation. */
  code: string;
  /** The lines that it was cut from, from 1. */
  from: number;
  to: number;
  /** Pingora's function, if the piece is one. */
  fn: string | null;
  /** Pingora's file. */
  rust: string | null;
}

/** What of a piece is shown: from a line that has `from` to a line that has `to`. */
export interface Range {
  from?: string;
  to?: string;
}

type Named = ts.Node & { name?: ts.Node };

const parsed = new Map<string, ts.SourceFile>();

function parse(file: string): ts.SourceFile {
  let source = parsed.get(file);
  if (source === undefined) {
    const path = join(projectRoot, file);
    if (!existsSync(path)) throw new Error(`no file ${file}`);
    source = ts.createSourceFile(file, readFileSync(path, 'utf8'), ts.ScriptTarget.ESNext, true);
    parsed.set(file, source);
  }
  return source;
}

const nameOf = (node: Named) => (ts.isConstructorDeclaration(node) ? 'constructor' : node.name?.getText());

/** The declaration of that name among `nodes`; a variable's is its whole statement. */
function find(nodes: readonly ts.Node[], name: string): ts.Node | undefined {
  for (const node of nodes) {
    if (ts.isVariableStatement(node)) {
      if (node.declarationList.declarations.some((one) => one.name.getText() === name)) return node;
    } else if (nameOf(node) === name) return node;
  }
  return undefined;
}

/** As {@link find}, inside other declarations too: a test's class. */
function findDeep(node: ts.Node, name: string): ts.Node | undefined {
  let found: ts.Node | undefined;
  const look = (one: ts.Node): void => {
    if (found !== undefined) return;
    if (ts.isClassDeclaration(one) && one.name?.text === name) found = one;
    else ts.forEachChild(one, look);
  };
  look(node);
  return found;
}

function membersOf(node: ts.Node): readonly ts.Node[] {
  return ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) ? node.members : [];
}

/** Pingora's function, as the piece itself says: `@rust.method`, `@rust.method('…')`, `rust.fn('…', …)`. */
function portedFn(node: ts.Node): { binding: string; fn: string } | null {
  let found: { binding: string; fn: string } | null = null;
  const look = (mark: ts.Node) => {
    const [access, first] = ts.isCallExpression(mark) ? [mark.expression, mark.arguments[0]] : [mark, undefined];
    if (!ts.isPropertyAccessExpression(access) || !/^(?:method|fn|body)$/.test(access.name.text)) return;
    const binding = access.expression.getText();
    if (first !== undefined && ts.isStringLiteral(first)) found = { binding, fn: first.text };
    else if (ts.isMethodDeclaration(node) && ts.isClassLike(node.parent)) {
      found = { binding, fn: pingoraName(node.parent.name!.text, node.name.getText()) };
    }
  };
  if (ts.isMethodDeclaration(node)) for (const one of ts.getDecorators(node) ?? []) look(one.expression);
  if (ts.isVariableStatement(node)) for (const { initializer } of node.declarationList.declarations) look(initializer!);
  return found;
}

function rustFile(source: ts.SourceFile, binding: string): string | null {
  return new RegExp(`\\bconst ${binding} = ported\\(\\s*'([^']+)'`).exec(source.text)?.[1] ?? null;
}

const indentOf = (line: string) => line.length - line.trimStart().length;

/** Where what a piece does begins: its body's first brace, a function's or a class's. */
function bodyOf(node: ts.Node, source: ts.SourceFile): number {
  if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) return node.members.pos;
  let body: ts.Node | undefined;
  const look = (one: ts.Node): void => {
    if (body === undefined && ts.isFunctionLike(one) && 'body' in one) body = one.body as ts.Node | undefined;
    if (body === undefined) ts.forEachChild(one, look);
  };
  look(node);
  return (body ?? node).getStart(source);
}

/** The lines of a piece that are shown: its `head` first ones, its last, and what is asked for. The rest is `// …`. */
function choose(lines: string[], ranges: readonly Range[], what: string, head: number): string[] {
  const last = lines.length - 1;
  const base = indentOf(lines[0]!);
  const shown = new Set<number>();
  let at = 0;
  for (const { from, to } of ranges) {
    const begin = from === undefined ? 0 : lines.findIndex((line, i) => i >= at && line.includes(from));
    if (begin < 0) throw new Error(`${what} has no line with “${from}”`);
    const end = to === undefined ? last : lines.findIndex((line, i) => i >= begin && line.includes(to));
    if (end < 0) throw new Error(`${what} has no line with “${to}” after “${from ?? 'its first'}”`);
    for (let i = begin; i <= end; i++) shown.add(i);
    at = end + 1;
  }
  for (let i = 0; i < head; i++) shown.add(i);
  if (head > 0) shown.add(last);
  const out: string[] = [];
  let hidden = false;
  for (const [i, line] of lines.entries()) {
    if (!shown.has(i)) {
      hidden ||= line.trim() !== '';
      continue;
    }
    if (hidden && out.length > 0) {
      const next = lines.slice(i).find((other) => other.trim() !== '') ?? line;
      const indent = i === last ? base + 2 : indentOf(next);
      out.push(`${' '.repeat(indent)}// …`);
    }
    hidden = false;
    out.push(line);
  }
  return out;
}

/**
 * Cut a piece out of a file: `Server.runForever`, `bindTcp`, `ServerApp`; `*` is all of it, of which only the ranges
 * are shown. Throws if there is none of that name.
 *
 * `doc`: with its doc comment.
 */
export function cut(file: string, name: string, ranges: readonly Range[] = [], doc = false): Excerpt {
  const source = parse(file);
  if (name === '*') {
    if (ranges.length === 0) throw new Error(`${file} *: which lines?`);
    const all = source.text.split('\n');
    const code = choose(all, ranges, file, 0).join('\n').trimEnd();
    const [first] = ranges;
    const line = first?.from === undefined ? 1 : all.findIndex((one) => one.includes(first.from!)) + 1;
    const end = ranges.at(-1)!.to;
    const last = end === undefined ? all.length : all.findLastIndex((one) => one.includes(end)) + 1;
    return { code, from: line, to: last, fn: null, rust: null };
  }
  let node: ts.Node | undefined;
  let nodes: readonly ts.Node[] = source.statements;
  for (const part of name.split('.')) {
    node = find(nodes, part) ?? (nodes === source.statements ? findDeep(source, part) : undefined);
    if (node === undefined) throw new Error(`${file} has no ${name}`);
    nodes = membersOf(node);
  }
  const lineAt = (position: number) => source.getLineAndCharacterOfPosition(position).line;
  const from = lineAt(node!.getStart(source, doc));
  const to = lineAt(node!.getEnd());
  let lines = source.text.split('\n').slice(from, to + 1);
  if (ranges.length > 0) {
    lines = choose(lines, ranges, `${file} ${name}`, lineAt(bodyOf(node!, source)) - from + 1);
  }
  const indent = Math.min(...lines.filter((line) => line.trim() !== '').map(indentOf));
  const ported = portedFn(node!);
  return {
    code: lines.map((line) => line.slice(indent)).join('\n'),
    from: from + 1,
    to: to + 1,
    fn: ported?.fn ?? null,
    rust: ported && rustFile(source, ported.binding),
  };
}
