import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadRecord } from '../../src/tracing/compare.ts';
import { declaredIn, declaredSites, hookIn, projectRoot, rustFunctions, SiteTable } from '../../src/tracing/sites.ts';

describe('the sites of the port', () => {
  const sites = declaredSites();

  test('each is a function of Pingora 0.1.0', () => {
    const known = rustFunctions();
    expect(sites.filter(({ fn, rust }) => rust !== null && !known.has(`${rust}#${fn}`))).toEqual([]);
    expect(sites.length).toBeGreaterThan(0);
  });

  test('none is declared twice', () => {
    const seen = new Map<string, string>();
    const twice: string[] = [];
    for (const { fn, rust, file, line } of sites) {
      const place = seen.get(`${rust}#${fn}`);
      if (place !== undefined) twice.push(`${fn}: ${place} and ${file}:${line}`);
      seen.set(`${rust}#${fn}`, `${file}:${line}`);
    }
    expect(twice).toEqual([]);
  });

  test('each line is that of a function', () => {
    const sources = new Map<string, string[]>();
    for (const { fn, file, line } of sites) {
      let lines = sources.get(file);
      if (lines === undefined) {
        lines = readFileSync(join(projectRoot, file), 'utf8').split('\n');
        sources.set(file, lines);
      }
      expect(`${fn}: ${lines[line - 1]}`).toMatch(/\w+\(|\w+<|\.fn\(|\.method\(/);
      expect(lines[line - 1]).not.toMatch(/^\s*@/);
    }
  });
});

describe('finding a site', () => {
  const source = `/**
 * const rust = ported('in/a/comment.rs');
 * @rust.method('Comment::never')
 */
const rust = ported('pingora-core/src/server/mod.rs');
const h2 = ported(
  'pingora-core/src/protocols/http/v2/server.rs',
);

export class Server {
  /** Says something. */
  @rust.method('Server::new')
  static new(): Server {}

  @rust.method('Server::run_forever')
  // A comment between.
  @other.thing((x) => f(x))
  async runForever(): Promise<void> {}

  @rust.method
  private async _mainLoop(): Promise<void> {}
}

export const handshake = h2.fn('server::handshake', async () => {});
const first = own.fn('own::first', () => {});
`;

  test('gives the line of the method or function, and its binding gives the file', () => {
    expect(declaredIn(source, 'src/x.ts').map(({ fn, rust, line }) => [fn, rust, line])).toEqual([
      ['Server::new', 'pingora-core/src/server/mod.rs', 13],
      ['Server::run_forever', 'pingora-core/src/server/mod.rs', 18],
      ['Server::main_loop', 'pingora-core/src/server/mod.rs', 21],
      ['server::handshake', 'pingora-core/src/protocols/http/v2/server.rs', 24],
      ['own::first', null, 25],
    ]);
  });

  test('an application’s hook is the method of that name in the class with that trait', () => {
    const app = `class Echo implements ServeHttp {
  async response() {}
}
class LB extends ProxyHttp<Ctx> {
  newCtx(): Ctx {}

  override async requestFilter(session: Session) {
    this.requestFilter2();
  }
  response(): void {}
}`;
    const line = (fn: string) => hookIn(app, 'app.ts', fn)?.line;
    expect(line('<app as ProxyHttp>::request_filter')).toBe(7);
    expect(line('<app as ProxyHttp>::new_ctx')).toBe(5);
    expect(line('<app as ServeHttp>::response')).toBe(2);
    expect(line('<app as ProxyHttp>::logging')).toBeUndefined();
  });

  test('Pingora’s line is the one that the records have', () => {
    const table = new SiteTable();
    const startup = loadRecord('h1')!.startup!;
    const [file, line] = startup[0]!.at.split(':');
    expect(table.rust({ fn: startup[0]!.fn, rust: file! })).toEqual({ file, line: Number(line) });
    expect(table.rust({ fn: '<app as ProxyHttp>::new_ctx', rust: 'app' })).toEqual({ file: 'app' });
    expect(table.rust({ fn: 'own', rust: null })).toBeNull();
  });
});
