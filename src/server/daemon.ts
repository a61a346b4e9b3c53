/**
 * Running in the background, as another user if asked for.
 *
 * Port of `pingora-core/src/server/daemon.rs`. The original forks. Node can't: what forks is only one of its threads.
 * So the program is started once more, detached, with the same arguments; it comes to the same place, finds that it is
 * the daemon, and does what the original's child does. The sockets that were taken over go with it. The process that
 * was started first waits until all that has succeeded, so that what goes wrong is seen where it was started.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ErrorType, PingoraError } from '../error/lib.ts';
import { Log } from '../log.ts';
import { ported } from '../tracing/span.ts';
import { isFolder } from '../utils/folder.ts';
import type { ServerConf } from './configuration/mod.ts';
import type { Fds } from './transfer-fd/mod.ts';

const rust = ported('pingora-core/src/server/daemon.rs');
const log = new Log('pingora_core::server::daemon');

/** Tells the daemon what it is, and the addresses of the sockets that it was started with. */
const MARK = 'PINGORA_TRACED_DAEMON';
/** After stdin, stdout, stderr and the channel to the process that was started first. */
const FIRST_FD = 4;

type Report = { daemon: 'runs' } | { daemon: 'failed'; why: string };

let addresses: string[] | undefined;

/** Whether this process is the one in the background. */
export function isDaemon(): boolean {
  const mark = process.env[MARK];
  if (mark !== undefined) {
    // what this process starts is something else
    delete process.env[MARK];
    addresses = JSON.parse(mark) as string[];
  }
  return addresses !== undefined;
}

/** The sockets that were taken over before the process went to the background. */
export function inheritFds(fds: Fds): void {
  const inherited = addresses ?? [];
  fds.deserialize(
    inherited,
    inherited.map((_, i) => FIRST_FD + i),
  );
}

const moveOldPid = rust.fn('daemon::move_old_pid', (path: string): void => {
  if (!existsSync(path)) {
    log.debug('Old pid file does not exist');
    return;
  }
  const newPath = `${path}.old`;
  try {
    renameSync(path, newPath);
    log.debug('Old pid file renamed');
  } catch (error) {
    log.error(`failed to rename pid file from ${path} to ${newPath}: ${error}`);
  }
});

/** The original moves away whatever is there, a folder with all that is in it too. */
function checkPidFile(path: string): void {
  if (!isFolder(path)) return;
  throw refuse(`pid_file: ${path} is a folder; write the path of a file in it, as ${join(path, 'pingora.pid')}`);
}

/** The fields of a user or group, by name or number: `getent` asks whatever the system asks. */
function lookup(database: 'passwd' | 'group', name: string): string[] | undefined {
  let lines: string;
  try {
    lines = execFileSync('getent', [database, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    // 2: there is none. Anything else: there is no getent, as on macOS
    if ((error as { status?: number | null }).status === 2) return undefined;
    lines = readFileSync(`/etc/${database}`, 'utf8');
  }
  const rows = lines.split('\n').map((line) => line.split(':'));
  return rows.find((fields) => fields[0] === name || fields[2] === name);
}

interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const gidForUsername = rust.fn('daemon::gid_for_username', (name: string): User => {
  const fields = lookup('passwd', name);
  if (fields === undefined) throw refuse(`user: ${name} is no user of this machine`);
  return { name: fields[0]!, uid: Number(fields[2]), gid: Number(fields[3]) };
});

function gidOf(group: string): number {
  const fields = lookup('group', group);
  if (fields === undefined) throw refuse(`group: ${group} is no group of this machine`);
  return Number(fields[2]);
}

function refuse(context: string, cause?: unknown): PingoraError {
  return cause === undefined
    ? PingoraError.explain(ErrorType.InternalError, context)
    : PingoraError.because(ErrorType.InternalError, context, cause);
}

interface Identity {
  readonly user: User | undefined;
  readonly gid: number | undefined;
}

/** Who the daemon is to be. Throws for what can't be. */
function identity(conf: ServerConf): Identity {
  const user = conf.user === undefined ? undefined : gidForUsername(conf.user);
  // The original leaves the group as it is without a setting for it: root's, mostly
  const gid = conf.group === undefined ? user?.gid : gidOf(conf.group);
  if (process.getuid?.() !== 0) {
    const { uid } = user ?? {};
    if (uid !== undefined && uid !== process.getuid?.()) {
      throw refuse(`user: only root can become ${conf.user}; start it as root, or leave the setting out`);
    }
    if (conf.group !== undefined && gid !== process.getgid?.()) {
      throw refuse(`group: only root can become ${conf.group}; start it as root, or leave the setting out`);
    }
  }
  return { user, gid };
}

/**
 * Run in the background. In the process that was started it starts the one in the background and returns its id, as
 * soon as that has settled in; nothing is left to do then but to end. In the one in the background it returns
 * undefined. Throws `InternalError`, in one line that names the setting that is wrong.
 */
export const daemonize = rust.fn(
  'daemon::daemonize',
  async (conf: ServerConf, fds: Fds | undefined): Promise<number | undefined> => {
    if (!isDaemon()) return startDaemon(conf, fds);
    try {
      settleIn(conf);
    } catch (error) {
      await tell({ daemon: 'failed', why: PingoraError.from(error).context ?? String(error) });
      throw error;
    }
    await tell({ daemon: 'runs' });
    return undefined;
  },
);

async function tell(report: Report): Promise<void> {
  if (process.send === undefined) return;
  await new Promise<void>((resolve) => process.send?.(report, undefined, undefined, () => resolve()));
  if (process.connected) process.disconnect();
}

/** In the process in the background: all that the original does between its fork and its return. */
function settleIn(conf: ServerConf): void {
  // the group may use its files, others may not
  process.umask(0o007);
  const { user, gid } = identity(conf);
  moveOldPid(conf.pidFile);
  try {
    writeFileSync(conf.pidFile, `${process.pid}\n`, { mode: 0o666, flag: 'wx' });
    if (user !== undefined) chownSync(conf.pidFile, user.uid, gid ?? user.gid);
  } catch (error) {
    throw refuse(`pid_file: can't write ${conf.pidFile}: ${(error as Error).message}`, error);
  }
  // missing in the types of Node 20
  const { initgroups } = process as { initgroups?: (user: string, gid: number) => void };
  try {
    if (process.getuid?.() === 0) {
      if (user !== undefined) initgroups?.call(process, user.name, user.gid);
      if (gid !== undefined) process.setgid?.(gid);
      if (user !== undefined) process.setuid?.(user.uid);
    }
  } catch (error) {
    throw refuse(`can't become ${conf.user ?? conf.group}: ${(error as Error).message}`, error);
  }
  // so that no file system is kept from being unmounted
  process.chdir('/');
}

/** In the process that was started: start the one in the background and wait until it has settled in. */
async function startDaemon(conf: ServerConf, fds: Fds | undefined): Promise<number> {
  // what is wrong is better said before there is another process
  identity(conf);
  checkPidFile(conf.pidFile);
  let stderr: number | 'ignore' = 'ignore';
  if (conf.errorLog !== undefined) {
    try {
      stderr = openSync(conf.errorLog, 'a');
    } catch (error) {
      throw refuse(`error_log: can't open ${conf.errorLog}: ${(error as Error).message}`, error);
    }
  }
  const table = fds?.serialize() ?? { addresses: [], fds: [] };
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      detached: true,
      stdio: ['ignore', 'ignore', stderr, 'ipc', ...table.fds],
      env: { ...process.env, [MARK]: JSON.stringify(table.addresses) },
    });
  } finally {
    if (typeof stderr === 'number') closeSync(stderr);
  }
  await new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(refuse(`can't start the process in the background: ${error.message}`)));
    child.once('message', (report: Report) => (report.daemon === 'runs' ? resolve() : reject(refuse(report.why))));
    child.once('exit', (code, signal) => {
      const where = conf.errorLog === undefined ? 'error_log would say why' : `${conf.errorLog} may say why`;
      reject(refuse(`the process in the background ended (${signal ?? `status ${code}`}); ${where}`));
    });
  });
  child.unref();
  return child.pid!;
}
