/**
 * h2spec against the program, over TLS and without it, where the tool is there:
 * `go install github.com/summerwind/h2spec/cmd/h2spec@latest`.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Program } from '../support/program.ts';

function find(): string | undefined {
  const places = [...(process.env.PATH ?? '').split(delimiter), join(homedir(), 'go/bin')];
  return places
    .map((place) => join(place, 'h2spec'))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

const h2spec = find();

function run(args: string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(h2spec!, [...args, '--strict', '-h', '127.0.0.1'], { maxBuffer: 1 << 24 }, (_error, stdout) =>
      resolve(stdout),
    );
  });
}

/** The cases that failed or were skipped, each as h2spec prints it. */
const notPassed = (output: string): string[] =>
  output
    .split('Failures:')[0]!
    .split('\n')
    .flatMap((line) => /[×»] (\d+: .*)/.exec(line.replaceAll(/.*\r/g, ''))?.[1] ?? []);

describe.skipIf(h2spec === undefined)('h2spec', () => {
  test('all of it passes', { timeout: 120_000 }, async () => {
    const origin = createServer((request, response) => {
      request.resume();
      request.on('end', () => response.end('hello'));
    });
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    const program = new Program('src/main.ts', [
      ...['--listen', '127.0.0.1:0', '--h2c', '--tls-listen', '127.0.0.1:0', '--h2'],
      ...['--upstream', `127.0.0.1:${(origin.address() as AddressInfo).port}`, '--log-level', 'off'],
    ]);
    onTestFinished(() => {
      program.child.kill('SIGKILL');
      origin.closeAllConnections();
      origin.close();
    });
    const [, plain] = await program.until(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
    const [, secure] = await program.until(/listening on https:\/\/127\.0\.0\.1:(\d+)/);
    const overTls = await run(['-t', '-k', '-p', secure!]);
    expect(notPassed(overTls)).toEqual([]);
    expect(overTls).toMatch(/14[56] tests, 14[56] passed, 0 skipped, 0 failed/);
    // what doesn't begin as HTTP/2 is HTTP/1 there, and answered so
    const withoutTls = await run(['-p', plain!]);
    expect(notPassed(withoutTls)).toEqual(['2: Sends invalid connection preface']);
  });
});
