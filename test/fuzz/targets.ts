/** What is fuzzed: each makes an input by chance, and says what is wrong with how it was taken. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseTrace, TraceError } from '../../explorer/trace.ts';
import { PingoraError } from '../../src/error/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { deserializeVecString, Fds, serializeVecString } from '../../src/server/transfer-fd/mod.ts';
import { Chance } from '../support/random.ts';
import { judgeRequests, made, REQUESTS, RESPONSES, Requests, Responses } from './http1.ts';

/** Something that reads what comes from elsewhere. */
export interface Target {
  make(chance: Chance): string;
  /** What is wrong; undefined: nothing. */
  judge(input: string, chance: Chance): Promise<string | undefined>;
  stop(): void;
}

const nothing = () => {};

/** It is read, or refused with an error of this kind in one line. */
function refuses(read: (input: string) => unknown, kind: new (...args: never[]) => Error) {
  return async (input: string): Promise<string | undefined> => {
    try {
      read(input);
    } catch (error) {
      if (!(error instanceof kind)) return `throws ${error instanceof Error ? error.stack : error}`;
      const said = error instanceof PingoraError ? (error.context ?? error.toString()) : error.message;
      if (said.includes('\n')) return `says more than a line: ${said}`;
    }
    return undefined;
  };
}

const YAML = [
  'version: 1\nthreads: 2\npid_file: /run/x.pid\ngrace_period_seconds: 0.5\nerror_log: "/x"\n',
  'version: 1\n# comment\nclient_bind_to_ipv4:\n  - 1.2.3.4\n  - 5.6.7.8\nuser: nobody\n',
  '---\nversion: &a 1\nthreads: *a\nupstream_keepalive_pool_size: 0x10\n',
];
const YAML_WORDS = [
  '&a',
  '*a',
  '<<: *a\n',
  '? ',
  '- ',
  '!!binary ',
  '!!js/function ',
  '{',
  '[',
  '|\n',
  '>\n',
  '"',
  "'",
  '\t',
];

const TRACE = JSON.stringify({
  ...{ version: 2, pingora: '0.1.0', scenario: 'h1', node: 'v20.0.0', began: 1 },
  tasks: [
    { id: 1, name: 'main', spawnedBy: null },
    { id: 2, name: 'connection', spawnedBy: 1, start: 3 },
  ],
  spans: [
    {
      ...{ id: 1, parent: null, task: 1, phase: 'startup', fn: 'Server::new', start: 0, end: 5, status: 'ok' },
      ...{ rust: { file: 'pingora-core/src/server/mod.rs', line: 3 }, ts: null, attributes: { a: 1 }, runs: [[0, 1]] },
    },
    {
      ...{ id: 2, parent: 1, task: 2, phase: 'request', fn: 'x', start: 1, end: null, status: 'error' },
      ...{ rust: null, ts: { file: 'src/x.ts', line: 1 }, attributes: {}, error: { type: 'ReadError' } },
    },
  ],
  connections: [{ id: 1, side: 'downstream', peer: null }],
  events: [{ kind: 'bytes', time: 1, span: 1, connection: 1, way: 'in', offset: 0, length: 3, bytes: 'abc' }],
});
const JSON_WORDS = ['null', '-1', '1e999', '[]', '{}', '"__proto__":', '"constructor":1,', '"\\u0000"', 'true', ','];

async function handover(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  let number = 0;
  return {
    make: (chance) =>
      chance.spoil(serializeVecString(['127.0.0.1:80', '/run/x.sock']).toString('latin1'), 5, [
        '\0',
        '[::]:1',
        ' ',
        '%',
        '%ff',
      ]),
    async judge(input) {
      const texts = await refuses((text) => deserializeVecString(Buffer.from(text, 'latin1')), PingoraError)(input);
      if (texts !== undefined) return texts;
      // the whole way: a message without sockets, of whoever may connect
      const path = join(folder, `${++number}.sock`);
      const got = Fds.new().getFromSock(path, { maxRetry: 50, retryIntervalSeconds: 0.02 });
      const outcome = got.then(
        () => undefined,
        (error: unknown) => (error instanceof PingoraError ? undefined : `throws ${error}`),
      );
      while (!existsSync(path)) await new Promise((resolve) => setImmediate(resolve));
      const socket = connect(path);
      socket.on('error', nothing);
      socket.end(Buffer.from(input, 'latin1'));
      const judged = await outcome;
      socket.destroy();
      return judged;
    },
    stop: () => rmSync(folder, { recursive: true }),
  };
}

/** The targets by their names, each to be started. */
export const targets: ReadonlyMap<string, () => Promise<Target>> = new Map<string, () => Promise<Target>>([
  [
    'requests',
    async () => {
      const pair = await Requests.start();
      return {
        make: (chance) => made(chance, REQUESTS),
        judge: (input, chance) => judgeRequests(pair, input, chance),
        stop: () => pair.stop(),
      };
    },
  ],
  [
    'responses',
    async () => {
      const pair = await Responses.start();
      return {
        make: (chance) => made(chance, RESPONSES),
        judge: (input, chance) => pair.judge(input, chance),
        stop: () => pair.stop(),
      };
    },
  ],
  [
    'yaml',
    async () => ({
      make: (chance) => chance.spoil(chance.pick(YAML), 5, YAML_WORDS),
      judge: refuses((text) => ServerConf.fromYaml(text), PingoraError),
      stop: nothing,
    }),
  ],
  [
    'traces',
    async () => ({
      make: (chance) => chance.spoil(TRACE, 5, JSON_WORDS),
      judge: refuses(parseTrace, TraceError),
      stop: nothing,
    }),
  ],
  ['handover', handover],
]);

const CORPUS = fileURLToPath(new URL('./corpus.json', import.meta.url));

/** Inputs that were taken wrongly once, by target. One character a byte. */
export function corpus(): Map<string, string[]> {
  return new Map(Object.entries(JSON.parse(readFileSync(CORPUS, 'utf8')) as Record<string, string[]>));
}

/** Keep one more. */
export function keep(target: string, input: string): void {
  const all = corpus();
  all.set(target, [...new Set([...(all.get(target) ?? []), input])]);
  writeFileSync(CORPUS, `${JSON.stringify(Object.fromEntries(all), null, 2)}\n`);
}

export interface Finding {
  readonly input: string;
  readonly wrong: string;
}

/** Try until `more` says no; what was found, at most ten, and how many were tried. */
export async function fuzz(
  name: string,
  seed: number,
  more: (tried: number) => boolean,
): Promise<{ found: Finding[]; tried: number }> {
  const target = await targets.get(name)!();
  const found: Finding[] = [];
  let tried = 0;
  try {
    const again = corpus().get(name) ?? [];
    for (; found.length < 10 && (tried < again.length || more(tried)); tried++) {
      const chance = new Chance(seed + tried);
      const input = again[tried] ?? target.make(chance);
      const wrong = await target.judge(input, chance);
      if (wrong !== undefined) found.push({ input, wrong });
    }
  } finally {
    target.stop();
  }
  return { found, tried };
}
