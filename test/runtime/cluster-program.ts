/**
 * A server with workers that listen on 127.0.0.1 and answer with a word, for `cluster.test.ts`: the primary of a
 * `node:cluster`, one of its workers, or (`inherit`) a process that is sent a socket to listen on.
 */
import cluster from 'node:cluster';
import { createServer, type Socket } from 'node:net';

const serve = (socket: Socket) => socket.end('served');
const tell = (what: object) => process.send!(what);

/** The TCP sockets among all that this process can get hold of, documented or not. */
function reachableSockets(): unknown[] {
  interface Handle {
    address?(): { port?: number } | null;
  }
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): Handle[] };
  return handles().filter((handle) => handle.address?.()?.port !== undefined);
}

if (process.argv[2] === 'inherit') {
  process.on('message', (_, handle) => createServer(serve).listen(handle, () => tell({ listening: true })));
} else if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.on('listening', (_, { port }) => tell({ port }));
  cluster.on('exit', () => tell({ exit: true }));
  process.on('message', (what) => {
    if (what === 'fork') cluster.fork();
    if (what === 'kill') for (const worker of Object.values(cluster.workers!)) worker!.process.kill('SIGKILL');
    if (what === 'sockets') {
      const open = process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length;
      tell({ open, reachable: reachableSockets().length });
    }
  });
} else createServer(serve).listen(0, '127.0.0.1');
