import { spawnSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { Log, parseFilter, setLog } from '../src/log.ts';
import { loader } from './support/built.ts';

/** What a filter lets through of one message a level of this target. */
function printed(filter: string, target: string): string[] {
  const lines: string[] = [];
  setLog(filter, pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) }));
  onTestFinished(() => setLog('silent'));
  const log = new Log(target);
  for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) log[level](() => level);
  return lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

test.each([
  ['a level is for all', 'warn', 'pingora_proxy', ['warn', 'error']],
  ['off prints nothing', 'off', 'pingora_proxy', []],
  ['without a level for all it is error', 'pingora_core=info', 'pingora_proxy', ['error']],
  ['a target has its own level', 'warn,pingora_proxy=info', 'pingora_proxy', ['info', 'warn', 'error']],
  ['and what is below it', 'warn,pingora_core=info', 'pingora_core::server', ['info', 'warn', 'error']],
  ['the longest name decides', 'pingora_core=trace,pingora_core::server=error', 'pingora_core::server', ['error']],
  ['in whichever order', 'pingora_core::server=error,pingora_core=trace', 'pingora_core::server', ['error']],
  ['a target alone is all that it says', 'pingora_proxy', 'pingora_proxy', ['trace', 'debug', 'info', 'warn', 'error']],
  ['levels may be written large, with spaces', ' WARN , pingora_proxy = Error', 'pingora_proxy', ['error']],
])('filter: %s', (_, filter, target, expected) => {
  expect(printed(filter, target)).toEqual(expected);
});

test('a filter that is set later reaches messages of before', () => {
  const lines: string[] = [];
  setLog('error', pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) }));
  onTestFinished(() => setLog('silent'));
  const log = new Log('pingora_proxy');
  log.info('one');
  setLog('info');
  log.info('two');
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['two']);
});

test.each(['loud', 'pingora_proxy=loud', 'a=b=c', '=info,x y'])('%j is refused, and named', (filter) => {
  expect(() => parseFilter(filter)).toThrow(RangeError);
  expect(() => parseFilter(filter)).toThrow(/use trace, debug, info, warn, error or silent/);
});

/** A program that uses the library and logs; returns what it printed on stderr. */
function program(filter: string): { target: string; msg: string }[] {
  const module = pathToFileURL(fileURLToPath(new URL('../src/log.ts', import.meta.url))).href;
  const code = `const { Log } = await import('${module}'); const log = new Log('pingora_proxy'); log.warn('seen'); log.error('bad');`;
  const { stderr } = spawnSync(process.execPath, [...loader, '--input-type=module', '-e', code], {
    encoding: 'utf8',
    env: { ...process.env, PINGORA_LOG: filter },
  });
  return stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { target: string; msg: string });
}

test('a program that calls nothing gets what PINGORA_LOG says', () => {
  expect(program('warn').map(({ msg }) => msg)).toEqual(['seen', 'bad']);
  expect(program('pingora_core=trace').map(({ msg }) => msg)).toEqual(['bad']);
});

test('what is wrong with PINGORA_LOG is said with the first message, as JSON', () => {
  expect(program('loud')).toMatchObject([
    { target: 'pingora_traced::log', msg: expect.stringMatching(/PINGORA_LOG is ignored: loud/) as string },
    { target: 'pingora_proxy', msg: 'bad' },
  ]);
});
