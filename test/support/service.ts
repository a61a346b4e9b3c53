/** Services of this process. */
import { onTestFinished } from 'vitest';
import { spawn } from '../../src/runtime/lib.ts';
import { Watch } from '../../src/runtime/sync.ts';
import type { Service } from '../../src/services/listening.ts';
import { perhapsTraced } from './traced.ts';

export interface Serving {
  /** Where it listens; 0: nowhere. */
  readonly plain: number;
  readonly tls: number;
  /** Have it shut down. */
  shutDown(): void;
  /** Resolves when it has. */
  readonly ended: Promise<void>;
}

/** Start `service`, and wait until so many of its endpoints listen. Whoever calls this ends it. */
export async function serve(service: Service, endpoints = 1): Promise<Serving> {
  const ports = { plain: 0, tls: 0 };
  const shutdown = new Watch(false);
  let ended = Promise.resolve();
  let listening = 0;
  await new Promise<void>((resolve, reject) => {
    service.events = {
      onListening({ bound, tls }) {
        ports[tls ? 'tls' : 'plain'] = Number(bound.split(':').at(-1));
        if (++listening === endpoints) resolve();
      },
      onListenFailed: (_address, error) => reject(error),
    };
    ended = perhapsTraced(() => spawn('service', () => service.startService(undefined, shutdown.subscribe())));
  });
  return { ...ports, shutDown: () => shutdown.send(true), ended };
}

/** As `serve`; it ends with the test. */
export async function serveInTest(service: Service, endpoints = 1): Promise<Serving> {
  const serving = await serve(service, endpoints);
  onTestFinished(() => {
    serving.shutDown();
    return serving.ended;
  });
  return serving;
}
