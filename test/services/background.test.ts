import { expect, test } from 'vitest';
import { type ShutdownWatch, Watch } from '../../src/runtime/sync.ts';
import { backgroundService, GenBackgroundService } from '../../src/services/background.ts';

class Ticking {
  watch: ShutdownWatch | undefined;
  async start(shutdown: ShutdownWatch): Promise<void> {
    this.watch = shutdown;
    while (!shutdown.borrow()) await shutdown.changed();
  }
}

test('a background service has a name for people, one thread, and a task that others share', () => {
  const task = new Ticking();
  const service = backgroundService('clock', task);
  expect(service).toBeInstanceOf(GenBackgroundService);
  expect(service.name()).toBe('BG clock');
  expect(service.threads()).toBe(1);
  expect(service.task()).toBe(task);
});

test('it runs until the server shuts down', async () => {
  const service = backgroundService('clock', new Ticking());
  const shutdown = new Watch(false);
  let over = false;
  const running = service.startService(undefined, shutdown.subscribe()).then(() => {
    over = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(over).toBe(false);
  shutdown.send(true);
  await running;
});
