import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { anchors, check, commandError } from '../../scripts/book/check.ts';
import { fill, type Material } from '../../scripts/book/directives.ts';
import { cut } from '../../scripts/book/excerpt.ts';
import { linkTerms, readTerms, unusedTerms } from '../../scripts/book/glossary.ts';
import type { Place } from '../../scripts/book/map.ts';
import { missing, type Show } from '../../scripts/book/shows.ts';
import { projectRoot } from '../../src/tracing/sites.ts';
import { type Made, makeTrace } from '../tracing/made.ts';

const PAGE = 'walkthrough/01-four-lines/README.md';
const calls: Made[] = [
  {
    fn: 'Server::run_forever',
    calls: [
      {
        fn: 'Server::run_service',
        calls: [
          {
            fn: 'Service::run_endpoint',
            task: 'endpoint 127.0.0.1:4711',
            span: { attributes: { at: '127.0.0.1:4711' } },
          },
        ],
      },
      { fn: 'Server::main_loop', span: { status: 'error' } },
    ],
  },
];
const trace = makeTrace(calls, 'h1');
const material: Material = {
  trace: async (name) => {
    if (name !== 'h1') throw new Error(`no scenario ${name}`);
    return trace;
  },
  deviations: new Map([
    ['pipelining', { id: 'pipelining', pingora: 'drops it (a.rs)', port: 'keeps it', reason: 'RFC' }],
  ]),
  chapters: [
    { page: PAGE, title: '01 One', question: 'Why?' },
    { page: 'walkthrough/02-making-a-service/README.md', title: '02 Two', question: 'How?' },
  ],
  get terms() {
    return terms;
  },
  get places() {
    return places;
  },
};
const terms = readTerms('### Session\n<!-- forms: sessions -->\n\nA request.\n\n### Transport stack\n\nLayers.\n');
const places: Place[] = [
  { fn: 'Server::run_forever', chapter: '01', does: 'runs' },
  { fn: 'Service::run_endpoint', chapter: '02', does: 'accepts' },
];
const filled = (text: string) => fill(text, PAGE, material);
const block = (directive: string) => `before\n\n<!-- ${directive} -->\n<!-- end -->\n\nafter\n`;

describe('an excerpt', () => {
  test('is a method with its decorator and without its doc comment', () => {
    const { code, fn, rust, from, to } = cut('src/server/mod.ts', 'Server.addService');
    expect(code).toMatch(/^@rust\.method\naddService\(service: Service\): void \{\n {2}this/);
    expect([fn, rust]).toEqual(['Server::add_service', 'pingora-core/src/server/mod.rs']);
    expect(to - from).toBe(code.split('\n').length - 1);
  });

  test('has its doc comment if that is asked for', () => {
    expect(cut('src/server/mod.ts', 'Server.addService', [], true).code).toMatch(/^\/\*\* /);
  });

  test('can be a function, a constant, an interface, a whole class or a test’s class', () => {
    expect(cut('src/services/listening.ts', 'serve').code).toMatch(/^function serve\(/);
    expect(cut('src/proxy/lib.ts', 'httpProxyService').fn).toBe('pingora_proxy::http_proxy_service');
    expect(cut('src/apps/mod.ts', 'ServerApp').code).toMatch(/^export interface ServerApp \{/);
    expect(cut('src/runtime/lib.ts', 'Handle').code).toMatch(/^export class Handle \{/);
    expect(cut('test/walkthrough/answers.test.ts', 'Keyed.errorWhileProxy').code).toContain('decideReuse');
  });

  test('shows head, end and what is asked for, and says where something is left out', () => {
    const { code } = cut('src/server/mod.ts', 'Server.runForever', [{ from: 'const runtimes', to: 'const runtimes' }]);
    expect(code.split('\n')).toEqual([
      '@rust.method',
      'async runForever(): Promise<never> {',
      '  // …',
      '  const runtimes = this.runServices();',
      '  // …',
      '}',
    ]);
  });

  test.each([
    ['a file', () => cut('src/nothing.ts', 'x'), 'no file src/nothing.ts'],
    ['a name', () => cut('src/server/mod.ts', 'Server.walk'), 'has no Server.walk'],
    ['a line', () => cut('src/server/mod.ts', 'Server.addService', [{ from: 'xyzzy' }]), 'no line with “xyzzy”'],
  ])('of %s that isn’t there is an error', (_, wrong, message) => {
    expect(wrong).toThrow(message);
  });
});

describe('a directive', () => {
  test('is filled, links to both, and filled again gives the same', async () => {
    const once = await filled(block('code: src/server/mod.ts Server.addService'));
    expect(once).toContain('```ts\n@rust.method\n');
    expect(once).toMatch(/\]\(\.\.\/\.\.\/src\/server\/mod\.ts#L\d+-L\d+\)/);
    expect(once).toMatch(/blob\/0\.1\.0\/pingora-core\/src\/server\/mod\.rs#L\d+\)/);
    expect(once.startsWith('before\n') && once.endsWith('after\n')).toBe(true);
    expect(await filled(once)).toBe(once);
  });

  test('prints calls without times, lines and ports', async () => {
    const text = await filled(block('calls: h1 from="Server::run_service"'));
    expect(text).toContain('⇢ task 2 endpoint 127.0.0.1:PORT');
    expect(text).toContain('Service::run_endpoint  src/server/mod.ts  at=127.0.0.1:PORT');
    expect(text).not.toMatch(/main_loop|4711|µs|mod\.ts:/);
  });

  test('prints as much of them as it is told', async () => {
    expect(await filled(block('calls: h1 depth=1 tasks=main'))).toMatch(/run_forever .*\n {2}└ … 2 calls below\n```/);
    expect(await filled(block('calls: h1 without="Server::run_service"'))).not.toContain('endpoint');
    expect(await filled(block('calls: h1 to="Server::run_forever"'))).not.toContain('run_service');
  });

  test('cuts Rust by the names of its items, and prints what that program printed', async () => {
    const text = await filled(block('rust: walkthrough/00-async/async.rs Closes spawns'));
    expect(text).toMatch(
      /```rust\nstruct Closes;\n\nimpl Drop for Closes \{[\s\S]*\n\}\n\nasync fn spawns\(\) \{[\s\S]*\n\}\n```\n/,
    );
    const inside = (directive: string) => fill(block(directive), 'walkthrough/00-async/README.md', material);
    expect(await inside('prints: spawns')).toContain('```text\nspawned\nin the task\nended\n```');
    await expect(inside('prints: nothing')).rejects.toThrow("main doesn't call nothing");
    await expect(filled(block('rust: walkthrough/00-async/async.rs nothing'))).rejects.toThrow('has no nothing');
  });

  test('lists deviations, neighbours and contents', async () => {
    expect(await filled(block('deviations: pipelining'))).toContain(
      '- [`pipelining`](../../docs/DEVIATIONS.md#pipelining). Pingora 0.1.0: drops it. The port: keeps it. Why: RFC.',
    );
    expect(await filled(block('nav:'))).toContain(
      '[Contents](../README.md) · [02 Two →](../02-making-a-service/README.md)',
    );
    expect(await filled(block('contents:'))).toContain('| [01 One](README.md) | Why? |');
  });

  test('prints what Pingora logged, and leads to a line of its source', async () => {
    expect(await filled(block('log: short-body'))).toContain('```text\nWARN pingora_core');
    const line = '<!--rs pingora-core/src/protocols/http/v1/client.rs 203 HttpSession::read_response-->';
    expect(await filled(`${line}<!--/rs-->`)).toContain(
      '[`v1/client.rs:203`](https://github.com/cloudflare/pingora/blob/0.1.0/pingora-core/src/protocols/http/v1/client.rs#L203)',
    );
    await expect(filled(`${line.replace('203', '20')}<!--/rs-->`)).rejects.toThrow('line 20 of');
  });

  test('draws a map whose calls lead to their chapters, each on its task', async () => {
    const text = await filled(block('map: h1'));
    expect(text.split('\n').slice(4, 8)).toEqual([
      '    ● <b>task “main”</b>',
      '<a href="README.md">01</a>    Server::run_forever  <i>runs</i>',
      '        ⇢ <b>task “endpoint”</b>',
      '<a href="../02-making-a-service/README.md">02</a>        Service::run_endpoint  <i>accepts</i>',
    ]);
    expect(await filled(text)).toBe(text);
  });

  test('that puts a call on the map which the trace hasn’t is an error', async () => {
    const wrong = { ...material, places: [{ fn: 'Server::walk', chapter: '01', does: '' }] };
    await expect(fill(block('map: h1'), PAGE, wrong)).rejects.toThrow('h1 has no call of Server::walk');
  });

  test('in a line links a function', async () => {
    const text = await filled('see <!--fn <T as ServerApp>::process_new--><!--/fn-->.');
    expect(text).toMatch(/-->\[`<T as ServerApp>::process_new`\]\(\.\.\/\.\.\/src\/apps\/mod\.ts#L\d+\)<sup>\[rs\]/);
    expect(await filled(text)).toBe(text);
  });

  test.each([
    ['code: src/server/mod.ts Server.walk', 'has no Server.walk'],
    ['calls: h4', 'no scenario h4'],
    ['calls: h1 from="Server::walk"', 'no call of Server::walk'],
    ['calls: h1 only=nothing', 'no module nothing'],
    ['calls: h1 deep=3', "unknown 'deep='"],
    ['deviations: none', 'no deviation none'],
    ['log: none', 'no log none'],
    ['calls: h1 from="Server::run_forever" nth=2', 'fewer than 2 calls of Server::run_forever'],
  ])('%s is an error that names the page', async (directive, message) => {
    await expect(filled(block(directive))).rejects.toThrow(`${PAGE}: ${directive.split(':')[0]}: `);
    await expect(filled(block(directive))).rejects.toThrow(message);
  });

  test('without an end is an error', async () => {
    await expect(filled('<!-- calls: h1 -->\n')).rejects.toThrow('1 directives begin and 0 end');
  });

  test('of a function that isn’t there, or is in several files, is an error', async () => {
    await expect(filled('<!--fn Server::walk--><!--/fn-->')).rejects.toThrow('no function Server::walk');
    await expect(filled('<!--fn Connector::new--><!--/fn-->')).rejects.toThrow('say which');
  });
});

describe('a word of the glossary', () => {
  const to = (word: string, anchor: string) => `[${word}](../GLOSSARY.md#${anchor})`;

  test('is linked where a chapter first uses it, in any of its forms, and nowhere else', async () => {
    const text = await filled('# Session\n\n> A session?\n\n`session` Sessions, a session.\nA transport\nstack.\n');
    expect(text).toContain(`\`session\` ${to('Sessions', 'session')}, a session.`);
    expect(text).toContain(`A ${to('transport\nstack', 'transport-stack')}.`);
    expect(text.match(/GLOSSARY/g)).toHaveLength(2);
    expect(await filled(text)).toBe(text);
  });

  test('that also says something else is linked in its forms only', () => {
    const found = readTerms('### Try\n<!-- forms only: a try; tries -->\n');
    expect(linkTerms('try it, a try', found)).toBe('try it, [a try](../GLOSSARY.md#try)');
  });

  test('that is code is linked with its quotes', () => {
    const [select] = readTerms('### `select!`\n<!-- forms: `select!` -->\n');
    expect(linkTerms('`x` and `select!`, `select!`', [select!])).toBe(
      '`x` and [`select!`](../GLOSSARY.md#select), `select!`',
    );
  });

  test('loses a link that stands elsewhere', () => {
    expect(linkTerms(`A session and ${to('sessions', 'session')}.`, terms)).toBe(
      `A ${to('session', 'session')} and sessions.`,
    );
  });

  test('isn’t part of another word, of a link, of code or of what a directive made', () => {
    const text =
      'obsession, h2-session, [a session](x.md)\n```\nsession\n```\n<!-- map: h1 -->\nsession\n<!-- end -->\n';
    expect(linkTerms(text, terms)).toBe(text);
    expect(unusedTerms([text, to('x', 'session')], terms)).toEqual(['Transport stack']);
  });
});

test('the legend has every mark that a printed tree can have', () => {
  const printer = readFileSync(join(projectRoot, 'src/formats/tree.ts'), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const marks = new Set(printer.match(/[^\p{ASCII}│]/gu));
  const legend = /## How to read the calls\n([\s\S]*?)\n## /.exec(
    readFileSync(join(projectRoot, 'walkthrough/README.md'), 'utf8'),
  )![1]!;
  expect([...marks].filter((mark) => !legend.includes(mark))).toEqual([]);
});

describe('a page', () => {
  test.each([
    ['[x](../nowhere/README.md)', 'no file ../nowhere/README.md'],
    ['[x](../../src/server/mod.ts#nothing)', 'no heading #nothing'],
    ['[x](#nowhere)', 'no heading #nowhere'],
    ['[x](../../src/server/mod.ts#L3)', 'a line typed by hand'],
    ['```sh\nnpm run nothing\n```', 'no script: npm run nothing'],
    ['`npm run trace -- h5`', 'no scenario h5'],
    ['`npm run trace -- h1 --only h1`', 'no module h1'],
    ['`npm run trace -- h1 --format pdf`', 'no format pdf'],
  ])('with %s is wrong', (text, message) => {
    expect(check(text, PAGE).join()).toContain(message);
  });

  test('whose links and commands work isn’t', () => {
    const text =
      '# A heading: “x”\n\n[up](#a-heading-x) [src](../../src/server/mod.ts)\n\n```sh\nnpm run trace -- h1 --depth 3\n```\n';
    expect(check(text, PAGE)).toEqual([]);
    expect(commandError('npm run trace -- tls-h2 --format perfetto --out x.json')).toBeNull();
  });

  test('has the anchors that GitHub makes', () => {
    expect([...anchors('# Is a `POST` retried?\n## Two\n## Two\n```\n# no\n```\n<a id="own">')]).toEqual([
      'is-a-post-retried',
      'two',
      'two-1',
      'own',
    ]);
  });
});

describe('what a chapter says that a trace shows', () => {
  const yes: Show[] = [
    { call: 'Server::run_service', under: 'Server::run_forever', times: 1 },
    { call: 'Service::run_endpoint', under: 'Server::run_forever' },
    { call: 'Server::run_service', before: 'Server::main_loop' },
    { call: 'Server::main_loop', status: 'error' },
    { task: 'endpoint', spawnedBy: 'Server::run_service', times: 1 },
    { absent: 'Server::main_loop', under: 'Server::run_service' },
    { task: 'main', beforeTask: 'endpoint' },
  ];
  const no: Show[] = [
    { call: 'Server::run_service', times: 2 },
    { call: 'Server::main_loop', under: 'Server::run_service' },
    { call: 'Server::main_loop', before: 'Server::run_service' },
    { call: 'Server::walk', before: 'Server::run_service' },
    { call: 'Server::run_service', status: 'error' },
    { task: 'endpoint', spawnedBy: 'Server::main_loop' },
    { absent: 'Server::main_loop' },
    { task: 'endpoint', beforeTask: 'main' },
    { task: 'main', beforeTask: 'connection' },
    { overlap: ['Server::run_service', 'Server::main_loop'] },
    // one inside the other is no overlap
    { overlap: ['Server::run_service', 'Server::run_forever'] },
  ];
  test.each(yes)('is so: %j', (show) => expect(missing(trace, show)).toBeNull());
  test.each(no)('isn’t so: %j', (show) => expect(missing(trace, show)).toEqual(expect.any(String)));

  test('can overlap', () => {
    const both = makeTrace([
      { fn: 'a', span: { end: 100 } },
      { fn: 'a', span: { end: 200 } },
    ]);
    expect(missing(both, { overlap: ['a', 'a'] })).toBeNull();
  });

  test('must be something that is known', () => {
    expect(() => missing(trace, { call: 'x', after: 'y' } as unknown as Show)).toThrow("no assertion 'after'");
  });
});

test('the printed calls don’t depend on the temporary folder', async () => {
  const { stable } = await import('../../scripts/book/calls.ts');
  const named = makeTrace([{ fn: 'a', calls: [{ fn: 'b', task: 'endpoint /tmp/x/pingora-traced-Ab1/proxy.sock' }] }]);
  expect(stable(named).tasks[1]!.name).toBe('endpoint DIR/proxy.sock');
});
