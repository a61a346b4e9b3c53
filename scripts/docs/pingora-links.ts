/**
 * Where in Pingora that is which the port exports.
 *
 * A function with a span says itself which one it ports. Others, and the types, are looked for in the files that their
 * file ports, under Pingora's names: what has the same name in the same type is its counterpart.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { declaredSites, rustFunctions } from '../../src/tracing/sites.ts';

const TAG = 'https://github.com/cloudflare/pingora/blob/0.1.0/';

/** Names that couldn't stay: JavaScript has an `Error`, and there are two sessions and services. One is spelt right. */
const RENAMED: Readonly<Record<string, string>> = {
  AnyService: 'Service',
  FNVHash: 'FVNHash',
  PingoraError: 'Error',
  ServerSession: 'Session',
};

const DISPLAY = new Map([['to_string', 'fmt']]);

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What a page says of something exported: the port's file, the line, its name and the type that it belongs to. */
export interface Exported {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  /** The class or interface of a method. */
  readonly of?: string | undefined;
}

/** Finds counterparts. The sources are read once. */
export class PingoraLinks {
  private readonly root: string;
  private readonly declared = new Map<string, string>();
  private readonly byFile = new Map<string, { fn: string; line: number }[]>();
  private readonly types = new Map<string, number>();
  private readonly ports = new Map<string, string[]>();

  /** `root`: the project's folder. */
  constructor(root: string) {
    this.root = root;
    const lines = rustFunctions();
    for (const { fn, rust, file, line } of declaredSites()) {
      if (rust !== null) this.declared.set(`${file}:${line}`, linkTo(fn, rust, lines.get(`${rust}#${fn}`)));
    }
    for (const [key, line] of lines) {
      const [file = '', fn = ''] = key.split('#');
      const inFile = this.byFile.get(file) ?? [];
      this.byFile.set(file, inFile);
      inFile.push({ fn, line });
    }
    const table = readFileSync(join(root, 'src/tracing/pingora-0.1.0/types.tsv'), 'utf8');
    for (const row of table.split('\n').slice(1)) {
      const [file, line, type] = row.split('\t');
      if (type !== undefined) this.types.set(`${file}#${type}`, Number(line));
    }
  }

  /** The function's counterpart, as a link in Markdown; undefined if there is none. */
  function({ file, line, name, of }: Exported): string | undefined {
    const said = this.declared.get(`${file}:${line}`);
    if (said !== undefined || of === undefined) return said;
    const type = RENAMED[of] ?? of;
    const method = snake(name);
    for (const rust of this.portedBy(file)) {
      const all = this.byFile.get(rust) ?? [];
      const own = all.find(({ fn }) => fn === `${type}::${method}`);
      const ofTrait = all.filter(
        ({ fn }) => fn.startsWith(`<${type} as `) && fn.endsWith(`>::${DISPLAY.get(method) ?? method}`),
      );
      const found = own ?? (ofTrait.length === 1 ? ofTrait[0] : undefined);
      if (found !== undefined) return linkTo(found.fn, rust, found.line);
    }
    return undefined;
  }

  /** The type's counterpart, as a link in Markdown; undefined if there is none. */
  type({ file, name }: Exported): string | undefined {
    const type = RENAMED[name] ?? name;
    for (const rust of this.portedBy(file)) {
      const line = this.types.get(`${rust}#${type}`);
      if (line !== undefined) return linkTo(type, rust, line);
    }
    return undefined;
  }

  /** Pingora's files that a file names as what it ports: whole, or without the crate of the first one. */
  private portedBy(file: string): string[] {
    let known = this.ports.get(file);
    if (known === undefined) {
      const text = readFileSync(join(this.root, file), 'utf8');
      const named = [...text.matchAll(/\bported\(\s*'([^']+)'|`([\w/-]+\.rs)`/g)].map(([, a, b]) => a ?? b!);
      const crate = /^pingora-[\w-]+\/src\//.exec(named.find((path) => path.startsWith('pingora-')) ?? '')?.[0] ?? '';
      known = [...new Set(named.map((path) => (path.startsWith('pingora-') ? path : `${crate}${path}`)))];
      this.ports.set(file, known);
    }
    return known;
  }
}

function linkTo(name: string, file: string, line: number | undefined): string {
  return `[\`${name}\`](${TAG}${file}${line === undefined ? '' : `#L${line}`}), ${file}`;
}
