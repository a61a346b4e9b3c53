import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { startOrigin } from '../support/load.ts';
import { Program, runsAsNobody } from '../support/program.ts';

const entry = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;

let dir: string;
let origin: Awaited<ReturnType<typeof startOrigin>>;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'daemon-test-'));
  chmodSync(dir, 0o777);
  origin = await startOrigin();
});
afterAll(() => {
  origin.close();
  rmSync(dir, { recursive: true, force: true });
});

interface Place {
  readonly conf: string;
  readonly pidFile: string;
  readonly errorLog: string;
  readonly sock: string;
}

/** A place for a daemon's files, and its configuration. */
function place(name: string, settings = ''): Place {
  const at = join(dir, name);
  mkdirSync(at);
  chmodSync(at, 0o777);
  const files = { conf: join(at, 'conf.yaml'), pidFile: join(at, 'pid'), errorLog: join(at, 'log') };
  writeFileSync(
    files.conf,
    `pid_file: ${files.pidFile}
error_log: ${files.errorLog}
upgrade_sock: ${join(at, 'upgrade')}
grace_period_seconds: 0.1
graceful_shutdown_timeout_seconds: 0.1
close_timeout_seconds: 0.1
upgrade_sock_connect_accept_max_retries: 300
upgrade_sock_retry_interval_seconds: 0.1
${settings}`,
  );
  return { ...files, sock: join(at, 'sock') };
}

function start({ conf, sock }: Place, ...flags: string[]): Program {
  return new Program(entry, ['-c', conf, '-d', '--upstream', `127.0.0.1:${origin.port}`, '--uds', sock, ...flags]);
}

const alive = (pid: number) => existsSync(`/proc/${pid}`);

/** The process that the file names; it is gone when the test ends. */
function daemon({ pidFile }: Place): number {
  const text = readFileSync(pidFile, 'utf8');
  expect(text).toMatch(/^\d+\n$/);
  const pid = Number(text);
  onTestFinished(() => {
    if (alive(pid)) process.kill(pid, 'SIGKILL');
  });
  return pid;
}

function answered({ sock }: Place): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ socketPath: sock, path: '/', agent: false }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode));
    }).once('error', reject);
  });
}

const ended = (pid: number) => vi.waitFor(() => expect(alive(pid)).toBe(false), { timeout: 10_000, interval: 20 });
const serves = (at: Place) => vi.waitFor(async () => expect(await answered(at)).toBe(200), { timeout: 10_000 });

/** The fields of /proc/PID/status. */
function status(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(':\t') as [string, string]));
}

describe('a daemon', () => {
  test('settles in and serves after the process that started it has ended', async () => {
    const at = place('settles');
    const program = start(at);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    const pid = daemon(at);
    expect(pid).not.toBe(program.child.pid);
    await serves(at);
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe('/');
    expect(status(pid).Umask).toBe('0007');
    // the sixth field: its session, of which it is the leader
    expect(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[3]).toBe(String(pid));
    expect([0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))).toEqual([
      '/dev/null',
      '/dev/null',
      at.errorLog,
    ]);
    process.kill(pid, 'SIGINT');
    await ended(pid);
    expect(readFileSync(at.errorLog, 'utf8')).toContain('SIGINT received, exiting');
  });

  const replaced = async (name: string, settings = ''): Promise<void> => {
    const at = place(name, settings);
    expect(await start(at).ended).toMatchObject({ code: 0 });
    const old = daemon(at);
    await serves(at);
    const next = start(at, '--upgrade');
    process.kill(old, 'SIGQUIT');
    expect(await next.ended).toMatchObject({ code: 0 });
    const pid = daemon(at);
    expect(pid).not.toBe(old);
    expect(readFileSync(`${at.pidFile}.old`, 'utf8')).toBe(`${old}\n`);
    await ended(old);
    expect(await answered(at)).toBe(200);
    process.kill(pid, 'SIGTERM');
    await ended(pid);
    expect(existsSync(at.sock)).toBe(false);
  };

  test('moves the PID file of the one before away, and takes its sockets over', () => replaced('upgrade'));

  test('does so with threads too', () => replaced('upgrade-threads', 'threads: 2\n'));

  test('has its threads beside it, and they end with it', async () => {
    const at = place('threads', 'threads: 2\n');
    expect(await start(at).ended).toMatchObject({ code: 0 });
    const pid = daemon(at);
    await serves(at);
    const threads = await vi.waitFor(() => {
      const found = [...readFileSync(at.errorLog, 'utf8').matchAll(/thread \d runs as process (\d+)/g)];
      expect(found).toHaveLength(2);
      return found.map(([, thread]) => Number(thread));
    });
    for (const thread of threads) {
      expect(readlinkSync(`/proc/${thread}/cwd`)).toBe('/');
      expect(status(thread).PPid).toBe(String(pid));
    }
    process.kill(pid, 'SIGTERM');
    await ended(pid);
    for (const thread of threads) await ended(thread);
    expect(existsSync(at.sock)).toBe(false);
  });

  test.runIf(isRoot)('has threads that need not be able to read what only root can', async () => {
    const at = place('root-only', 'user: nobody\nthreads: 2\n');
    const folder = join(dir, 'of-root');
    mkdirSync(folder, { mode: 0o700 });
    const [log, cert, key] = ['log', 'cert.pem', 'key.pem'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const made = await selfSigned([]);
    writeFileSync(cert, made.cert);
    writeFileSync(key, made.key);
    writeFileSync(at.conf, readFileSync(at.conf, 'utf8').replace(at.errorLog, log));
    const program = start(at, '--tls-listen', '127.0.0.1:0', '--cert', cert, '--key', key);
    expect(await program.ended).toMatchObject({ code: 0 });
    daemon(at);
    await serves(at);
    const said = await vi.waitFor(() => {
      const text = readFileSync(log, 'utf8');
      expect(text.match(/thread \d runs as process \d+/g)).toHaveLength(2);
      return text;
    });
    expect(said).not.toMatch(/can't|fail|ended/);
  });

  test.runIf(isRoot)('becomes the user and the group of the configuration', async () => {
    const at = place('user', 'user: nobody\ngroup: daemon\n');
    expect(await start(at).ended).toMatchObject({ code: 0 });
    const pid = daemon(at);
    await serves(at);
    const { uid, gid } = statSync(at.pidFile);
    const { Uid, Gid, Groups } = status(pid);
    expect([Uid, Gid]).toEqual([Array(4).fill(uid).join('\t'), Array(4).fill(gid).join('\t')]);
    expect([uid, gid]).not.toContain(0);
    expect(Groups!.trim().split(/\s+/)).not.toContain('0');
  });

  test.runIf(isRoot)('keeps nothing of root’s groups when only a user is given', async () => {
    const at = place('user-only', 'user: nobody\n');
    expect(await start(at).ended).toMatchObject({ code: 0 });
    const { Gid } = status(daemon(at));
    expect(Gid!.split('\t')).not.toContain('0');
  });
});

describe('what keeps it from running is said in one line, where it was started', () => {
  test.each([
    ['a user that is none', 'user: nobody-at-all\n', 'user: nobody-at-all is no user of this machine'],
    ['a group that is none', 'group: none-at-all\n', 'group: none-at-all is no group of this machine'],
    ['a PID file that can’t be', 'pid_file: /nowhere/at/all/pid\n', "pid_file: can't write /nowhere/at/all/pid: "],
    ['a folder for a PID file', 'pid_file: DIR\n', 'is a folder; write the path of a file in it, as '],
  ])('%s', async (name, settings, message) => {
    const at = place(name.replace(/\W/g, ''), '');
    writeFileSync(
      at.conf,
      readFileSync(at.conf, 'utf8').replace(/^pid_file.*\n/, settings.startsWith('pid') ? '' : '$&') +
        settings.replace('DIR', dir),
    );
    const program = start(at, '--log-level', 'silent');
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.stdout).toBe('');
    expect(program.stderr.trimEnd().split('\n')).toEqual([expect.stringContaining(message)]);
  });

  test.runIf(runsAsNobody())('a user that only root can become', async () => {
    const at = place('not-root', 'user: root\n');
    chmodSync(at.conf, 0o644);
    const program = new Program(
      entry,
      ['-c', at.conf, '-d', '--upstream', `127.0.0.1:${origin.port}`, '--uds', at.sock, '--log-level', 'silent'],
      { uid: 65534, gid: 65534 },
    );
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.stderr.trimEnd()).toBe(
      'user: only root can become root; start it as root, or leave the setting out',
    );
  });
});
