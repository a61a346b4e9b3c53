import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { deserializeVecString, Fds, serializeVecString } from '../../src/server/transfer-fd/mod.ts';
import { captureLog } from '../support/log.ts';
import { Program } from '../support/program.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'transfer-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const BRIEFLY = { maxRetry: 2, retryIntervalSeconds: 0.05 };
const PATIENTLY = { maxRetry: 200, retryIntervalSeconds: 0.05 };

const openFds = () => readdirSync('/proc/self/fd').length;

/** What a call that fails says. */
async function reason(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'it succeeded',
    (error: unknown) => String(error),
  );
}

/** A file that is open for this test. */
function file(name: string): { fd: number; ino: number } {
  const path = join(dir, name);
  writeFileSync(path, name);
  const fd = openSync(path, 'r');
  onTestFinished(() => closeSync(fd));
  return { fd, ino: fstatSync(fd).ino };
}

describe('the table', () => {
  test('keeps which socket listens where', () => {
    const fds = Fds.new();
    fds.add('1.1.1.1:80', 128);
    expect([fds.get('1.1.1.1:80'), fds.get('1.1.1.1:81')]).toEqual([128, undefined]);
  });

  test('is written and read back as text and numbers', () => {
    const fds = Fds.new();
    fds.add('1.1.1.1:80', 128);
    fds.add('1.1.1.1:443', 129);
    const { addresses, fds: numbers } = fds.serialize();
    const read = Fds.new();
    read.deserialize(addresses, numbers);
    expect([read.get('1.1.1.1:80'), read.get('1.1.1.1:443')]).toEqual([128, 129]);
  });

  test.each([
    [[], ''],
    [['1.1.1.1:80'], '1.1.1.1:80'],
    [['1.1.1.1:80', '[::]:443', '/run/x.sock'], '1.1.1.1:80 [::]:443 /run/x.sock'],
    [['/tmp/a b', '[fe80::1%eth0]:80', '/tmp/ü'], '/tmp/a%20b [fe80::1%25eth0]:80 /tmp/ü'],
  ])('is %j on the wire: %j', (texts, wire) => {
    expect(serializeVecString(texts).toString()).toBe(wire);
    expect(deserializeVecString(Buffer.from(wire))).toEqual(texts);
  });
});

describe('sockets are handed over', () => {
  test.each(['the receiver', 'the sender'] as const)('when %s comes first', async (first) => {
    const path = join(dir, `first-${first.slice(4)}`);
    const [a, b] = [file(`a ${first}`), file(`b ${first}`)];
    const sender = Fds.new();
    sender.add('127.0.0.1:80', a.fd);
    sender.add('/run/with space.sock', b.fd);
    const receiver = Fds.new();
    const before = openFds();
    const calls = [() => receiver.getFromSock(path, PATIENTLY), () => sender.sendToSock(path, PATIENTLY)];
    if (first === 'the sender') calls.reverse();
    const [one, other] = calls.map((call) => call());
    await Promise.all([one, other]);
    const got = [receiver.get('127.0.0.1:80')!, receiver.get('/run/with space.sock')!];
    expect(got.map((fd) => fstatSync(fd).ino)).toEqual([a.ino, b.ino]);
    // copies, and nothing beside them is left open
    expect(got).not.toContain(a.fd);
    expect(openFds()).toBe(before + 2);
    for (const fd of got) closeSync(fd);
    expect(existsSync(path)).toBe(false);
    expect([sender.handedOver, receiver.handedOver]).toEqual([true, false]);
  });

  test('as many as one message holds, and no more', async () => {
    const path = join(dir, 'many');
    const { fd } = file('one');
    const sender = Fds.new();
    for (let i = 0; i < 253; i++) sender.add(`127.0.0.1:${10000 + i}`, fd);
    const receiver = Fds.new();
    await Promise.all([receiver.getFromSock(path, PATIENTLY), sender.sendToSock(path, PATIENTLY)]);
    const { fds } = receiver.serialize();
    expect(fds.length).toBe(253);
    for (const got of fds) closeSync(got);
    sender.add('127.0.0.1:1', fd);
    await expect(sender.sendToSock(path, BRIEFLY)).rejects.toThrow('254 sockets are too many for one message');
  });

  test('none, if there are none', async () => {
    const path = join(dir, 'none');
    const receiver = Fds.new();
    await Promise.all([receiver.getFromSock(path, PATIENTLY), Fds.new().sendToSock(path, PATIENTLY)]);
    expect(receiver.serialize()).toEqual({ addresses: [], fds: [] });
  });

  test('to the file of a process that waited and is gone', async () => {
    const path = join(dir, 'stale');
    const stale: Server = createServer();
    stale.listen(path);
    await once(stale, 'listening');
    const moved = `${path}-moved`;
    execFileSync('ln', [path, moved]);
    stale.close();
    execFileSync('mv', [moved, path]);
    expect(statSync(path).isSocket()).toBe(true);
    const { fd, ino } = file('of stale');
    const sender = Fds.new();
    sender.add('x', fd);
    const receiver = Fds.new();
    const sending = sender.sendToSock(path, PATIENTLY);
    await receiver.getFromSock(path, PATIENTLY);
    await sending;
    expect(fstatSync(receiver.get('x')!).ino).toBe(ino);
    closeSync(receiver.get('x')!);
  });
});

describe('nobody is waited for for ever', () => {
  test('the sender gives up, and still owns its sockets', async () => {
    const lines = captureLog('warn');
    const sender = Fds.new();
    sender.add('x', file('kept').fd);
    const before = openFds();
    const path = join(dir, 'nobody');
    expect(await reason(sender.sendToSock(path, BRIEFLY))).toContain(
      `can't send sockets to ${path} cause: No such file or directory (os error 2)`,
    );
    expect(sender.handedOver).toBe(false);
    expect(openFds()).toBe(before);
    expect(lines.map(({ msg }) => msg.replace(/, error: .*/, ''))).toEqual([
      'server not ready, will try again in 0.05s',
      'server not ready, will try again in 0.05s',
      `Max retry: 2 reached. Giving up sending socket to: ${path}`,
    ]);
  });

  test('the receiver gives up, and leaves no file', async () => {
    const lines = captureLog('error');
    const before = openFds();
    const path = join(dir, 'never');
    await expect(Fds.new().getFromSock(path, BRIEFLY)).rejects.toThrow(`no server came to ${path}`);
    expect(existsSync(path)).toBe(false);
    expect(openFds()).toBe(before);
    expect(lines.map(({ msg }) => msg.replace(/, error: .*/, ''))).toEqual([
      'No incoming socket transfer, sleep 0.05s and try again',
      'No incoming socket transfer, sleep 0.05s and try again',
      `Giving up reading socket from: ${path}`,
    ]);
  });

  test('a path that is too long is refused on both sides', async () => {
    const path = join(dir, 'x'.repeat(120));
    expect(await reason(Fds.new().getFromSock(path, BRIEFLY))).toContain('ENAMETOOLONG');
    expect(await reason(Fds.new().sendToSock(path, BRIEFLY))).toContain('ENAMETOOLONG');
  });

  test('a server without koffi says what it needs, and ends', async () => {
    const hook = join(dir, 'no-koffi.cjs');
    writeFileSync(
      hook,
      `const Module = require('node:module');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  if (name === 'koffi') throw Object.assign(new Error('no koffi'), { code: 'MODULE_NOT_FOUND' });
  return resolve.call(this, name, ...rest);
};`,
    );
    const entry = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
    const flags = ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1', '--upgrade', '--log-level', 'error'];
    const program = new Program(entry, flags, { env: { NODE_OPTIONS: `--require ${hook}` } });
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.logged('pingora_core::server')).toEqual([
      expect.stringContaining('needs the package "koffi", which is not installed (npm install koffi)'),
    ]);
    expect(program.stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});
