/** What HTTP/2 connections hold: many that are idle, and one that is used for long. */
import { cases } from './cases.ts';
import { http2Undici, port, type Tls } from './contestants.ts';
import { Load, Running } from './processes.ts';

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const h2 = cases.find(({ name }) => name === 'h2')!;

async function reaches(load: Load, count: number, seen?: (count: number) => void): Promise<void> {
  for (;;) {
    const now = (await load.count()).count;
    if (now >= count) return;
    seen?.(now);
    await sleep(0.1);
  }
}

const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

/** Memory of a connection that has had one request and waits, beside node:http2's. */
export async function idleConnections(tls: Tls, connections: number): Promise<void> {
  console.log(`memory of each of ${connections} idle connections of HTTP/2 over TLS, after a request:\n`);
  for (const contestant of [http2Undici(tls), port(tls)]) {
    const load = new Load();
    const proxy = await Running.start(contestant, await load.origin());
    // so that what is made once is there
    await load.start(proxy.port, { ...h2, connections: 200, streams: 4 });
    await reaches(load, 20_000);
    await load.stop();
    await sleep(2);
    const before = await proxy.memory();
    await load.start(proxy.port, { ...h2, connections, streams: 1 });
    await reaches(load, 2 * connections);
    await load.pause();
    await sleep(2);
    const after = await proxy.memory();
    const each = (of: 'rss' | 'heapUsed' | 'external') => kib((after[of] - before[of]) / connections);
    console.log(
      `${proxy.name.padEnd(20)} ${each('rss')} resident; ${each('heapUsed')} of V8's heap, ${each('external')} outside it`,
    );
    await Promise.all([load.end(), proxy.end()]);
  }
}

/** The port's memory while one connection serves so many requests. */
export async function lasting(tls: Tls, requests: number): Promise<void> {
  const load = new Load();
  const proxy = await Running.start(port(tls), await load.origin());
  await load.start(proxy.port, { ...h2, connections: 1, streams: 64 });
  const told = Math.max(1, Math.floor(requests / 10));
  let next = Math.min(100_000, told);
  const tell = async (count: number) => {
    const { rss, heapUsed, external } = await proxy.memory();
    const cpu = await proxy.cpu();
    console.log(
      `${String(count).padStart(8)} requests: ${mib(rss)} resident, ${mib(heapUsed)} of V8's heap, ${mib(external)} outside it; ` +
        `${((cpu.user + cpu.system) / count).toFixed(1)} µs a request so far`,
    );
  };
  while (next < requests) {
    await reaches(load, next);
    await tell((await load.count()).count);
    next = next < told ? told : next + told;
  }
  await reaches(load, requests);
  await load.pause();
  await sleep(2);
  await tell((await load.count()).count);
}
