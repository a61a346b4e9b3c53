/**
 * What the runner and a server in the background tell each other: JSON lines over a Unix socket. Such a server is no
 * child of the runner's, and has no channel of Node's to it.
 */
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Command, Report } from './messages.ts';

function onLines(socket: Socket, take: (line: string) => void): void {
  socket.on('error', () => {});
  createInterface({ input: socket }).on('line', take);
}

/**
 * The server's side: listen on `path` for the runner. Returns what reports to it, which waits until it has connected.
 */
export async function serveControl(
  path: string,
  obey: (command: Command) => void,
  gone: () => void,
): Promise<(report: Report) => void> {
  let runner: Socket | undefined;
  const waiting: string[] = [];
  const server = createServer((socket) => {
    runner = socket;
    onLines(socket, (line) => obey(JSON.parse(line) as Command));
    socket.on('close', gone);
    for (const line of waiting.splice(0)) socket.write(line);
    server.close();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
  return (report) => {
    const line = `${JSON.stringify(report)}\n`;
    if (runner === undefined) waiting.push(line);
    else runner.write(line);
  };
}

/** The runner's side. `closed` resolves when the server has ended. */
export interface Control {
  send(command: Command): void;
  readonly closed: Promise<void>;
}

/** Connect to the server that listens on `path`. */
export async function connectControl(path: string, take: (report: Report) => void): Promise<Control> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once('error', reject).once('connect', resolve));
  onLines(socket, (line) => take(JSON.parse(line) as Report));
  return {
    send: (command) => void socket.write(`${JSON.stringify(command)}\n`),
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  };
}
