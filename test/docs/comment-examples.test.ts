/**
 * The examples in the comments of what the package exports: each is compiled under the strictest flags and run, with the
 * package as its users have it.
 *
 * What an example doesn't import is imported for it. `console.log(x); // 1` has to print that. A class that extends
 * `ProxyHttp` is served, with an origin at 127.0.0.1:8080 that answers its name, the method and the target, and sends
 * back the fields that begin with `X-`; what follows says what is asked and what is answered:
 *
 *     // GET /path with Name: value -> 200 "body"
 *     // GET /path -> Name: value
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, relative } from 'node:path';
import { transform } from 'esbuild';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { entries } from '../../scripts/declarations.ts';
import { projectRoot } from '../../src/tracing/sites.ts';
import { installed } from '../support/packed.ts';
import { Program } from '../support/program.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

interface Example {
  /** `file:line`. */
  readonly place: string;
  readonly code: string;
  readonly name: string;
}

/** They show how the port itself is annotated. */
const NOT_THE_PACKAGES = /^src\/(tracing|scenarios)\//;

function examples(): Example[] {
  const files = (readdirSync(join(projectRoot, 'src'), { recursive: true }) as string[])
    .map((name) => relative(projectRoot, join(projectRoot, 'src', name)))
    .filter((path) => path.endsWith('.ts') && !NOT_THE_PACKAGES.test(path));
  return files.sort().flatMap((path) => {
    const text = readFileSync(join(projectRoot, path), 'utf8');
    return [...text.matchAll(/^( *) \* ```ts\n([\s\S]*?)^ * \* ```$/gm)].map(({ index, 2: body }) => {
      const line = text.slice(0, index).split('\n').length;
      const code = body!.replace(/^ *\* ?/gm, '');
      return { place: `${path}:${line}`, code, name: `example-${path.replace(/\W+/g, '-')}-${line}` };
    });
  });
}

const EXAMPLES = examples();

/** Each export, and the entry that it is imported from. */
async function exported(): Promise<Map<string, string>> {
  const report = readFileSync(join(projectRoot, 'docs/surface.txt'), 'utf8');
  const names = new Map<string, string>();
  let specifier = '';
  for (const line of report.split('\n')) {
    const [, section] = /^## (\S+)$/.exec(line) ?? [];
    if (section !== undefined) specifier = section;
    const [, name] =
      /^export (?:declare )?(?:abstract )?(?:class|interface|type|const|function) (\w+)/.exec(line) ?? [];
    if (name !== undefined && !names.has(name)) names.set(name, specifier);
    const [, alias] = /^\/\/ (\w+): as /.exec(line) ?? [];
    if (alias !== undefined && !names.has(alias)) names.set(alias, specifier);
  }
  expect(new Set(names.values())).toEqual(new Set(entries().map((entry) => entry.specifier)));
  return names;
}

/** The example as a module, served if it is an application. */
function moduleOf({ code }: Example, names: ReadonlyMap<string, string>): string {
  const [, app] = /^class (\w+) extends ProxyHttp/m.exec(code) ?? [];
  const serve = `
const server = Server.new();
await server.bootstrap();
const service = httpProxyService(server.configuration, new ${app}());
service.addTcp('127.0.0.1:0');
service.events = { onListening: ({ bound }) => console.log(\`listening on \${bound}\`) };
server.addService(service);
await server.runForever();
`;
  const body = app === undefined ? code : code.replaceAll("'127.0.0.1:8080'", 'ORIGIN') + serve;
  const used = new Map<string, string[]>();
  for (const [name, specifier] of names) {
    const isDeclared = new RegExp(`(?:class|interface|const|type) ${name}\\b|import [^;]*\\b${name}\\b`).test(body);
    if (isDeclared || !new RegExp(`(?<![.\\w'])${name}\\b`).test(body.replaceAll(/\/\/.*|'[^']*'/g, ''))) continue;
    used.set(specifier, [...(used.get(specifier) ?? []), name]);
  }
  const imports = [...used].map(([specifier, all]) => `import { ${all.join(', ')} } from '${specifier}';`);
  const origin = app === undefined ? '' : "const ORIGIN = process.env['ORIGIN'] ?? '';\n";
  return `${imports.join('\n')}\n${origin}${body}\nexport {};\n`;
}

let folder: string;
let origin: ReturnType<typeof createServer>;
beforeAll(async () => {
  folder = join(await installed(), 'comments');
  mkdirSync(folder);
  const names = await exported();
  for (const example of EXAMPLES) {
    const module = moduleOf(example, names);
    writeFileSync(join(folder, `${example.name}.ts`), module);
    const { code } = await transform(module, { loader: 'ts', target: 'node20' });
    writeFileSync(join(folder, `${example.name}.js`), code);
  }
  origin = createServer(({ method, url, headers }, response) => {
    for (const [name, value] of Object.entries(headers)) if (name.startsWith('x-')) response.setHeader(name, value!);
    response.end(`origin ${method} ${url}`);
  }).listen(0, '127.0.0.1');
  await once(origin, 'listening');
});
afterAll(() => {
  origin?.closeAllConnections();
  origin?.close();
});

test('there are examples, of the hooks and of what a server is made of', () => {
  const files = new Set(EXAMPLES.map(({ place }) => place.split(':')[0]));
  expect(files).toContain('src/proxy/proxy-trait.ts');
  expect(files.size).toBeGreaterThan(5);
});

test('all of them compile', () => {
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
    skipLibCheck: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(projectRoot, 'node_modules/@types')],
  };
  const files = EXAMPLES.map(({ name }) => `${name}.ts`);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const tsc = join(projectRoot, 'node_modules/typescript/bin/tsc');
  expect(spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' }).stdout).toBe('');
});

/** `// GET /path with Name: value -> 200 "body"`, or a field in place of status and body. */
const ASKED = /^\/\/ ([A-Z]+) (\S+)(?: with ([\w-]+): (.*?))? -> (?:(\d{3})(?: "(.*)")?|([\w-]+): (.*))$/gm;

describe('each does what it says', () => {
  test.each(EXAMPLES.map((example) => [example.place, example] as const))('%s', async (_, { code, name }) => {
    const file = join('comments', `${name}.js`);
    if (!/^class \w+ extends ProxyHttp/m.test(code)) {
      const printed = [...code.matchAll(/^ *console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text!);
      const { stdout, stderr, status } = spawnSync(process.execPath, [file], {
        cwd: join(folder, '..'),
        encoding: 'utf8',
      });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      expect(stdout.split('\n').slice(0, -1)).toEqual(printed);
      return;
    }
    const ORIGIN = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
    const program = new Program(file, [], { installed: join(folder, '..'), env: { ORIGIN, PINGORA_LOG: 'off' } });
    onTestFinished(() => void program.child.kill('SIGKILL'));
    const [, port] = await program.until(/listening on \S+:(\d+)/);
    const asked = [...code.matchAll(ASKED)];
    expect(asked.length).toBeGreaterThan(0);
    for (const [line, method, path, name, value, status, body, field, expected] of asked) {
      const headers = name === undefined ? {} : { [name]: value };
      const sent = request({ host: '127.0.0.1', port, method, path: path!, headers, agent: false });
      sent.end();
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      let text = '';
      for await (const piece of answer) text += piece;
      if (status !== undefined) expect(answer.statusCode, line).toBe(Number(status));
      if (body !== undefined) expect(text, line).toBe(body);
      if (field !== undefined) expect(answer.headers[field.toLowerCase()], line).toBe(expected);
    }
  });
});
