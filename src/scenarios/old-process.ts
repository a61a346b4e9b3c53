/** Plays the old process of an upgrade: has a listening socket, hands it over, and leaves. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { descriptorOf } from '../node/server-handle.ts';
import { Fds } from '../server/transfer-fd/mod.ts';

export class OldProcess {
  readonly #server: Server;
  readonly #path: string;
  readonly address: string;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** `path`: where the new process waits for it. */
  static async start(path: string): Promise<OldProcess> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new OldProcess(server, path);
  }

  /** Resolves when the socket is the new process's, and nobody else's. */
  async handOver(): Promise<void> {
    const fds = Fds.new();
    fds.add(this.address, descriptorOf(this.#server));
    await fds.sendToSock(this.#path, { maxRetry: 100, retryIntervalSeconds: 0.1 });
    this.close();
  }

  close(): void {
    this.#server.close();
  }
}
