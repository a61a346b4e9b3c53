import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Load, startOrigin } from '../support/load.ts';
import { Program } from '../support/program.ts';

const entry = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

let dir: string;
let origin: Awaited<ReturnType<typeof startOrigin>>;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'upgrade-test-'));
  origin = await startOrigin();
});
afterAll(() => {
  origin.close();
  rmSync(dir, { recursive: true, force: true });
});

/** A configuration whose waits are short enough for a test. */
function conf(name: string, more = ''): string {
  const path = join(dir, `${name}.yaml`);
  writeFileSync(
    path,
    `version: 1
upgrade_sock: ${join(dir, `${name}.upgrade`)}
grace_period_seconds: 10
graceful_shutdown_timeout_seconds: 2
close_timeout_seconds: 0.5
upgrade_sock_connect_accept_max_retries: 300
upgrade_sock_retry_interval_seconds: 0.1
${more}`,
  );
  return path;
}

interface Proxy {
  readonly program: Program;
  readonly tcp: { host: string; port: number };
  readonly tls: string;
}

function start(name: string, { more = '', flags = [] as string[] } = {}): Program {
  return new Program(entry, [
    ...['--conf', conf(name, more), '--upstream', `127.0.0.1:${origin.port}`, '--log-level', 'info'],
    ...['--listen', '127.0.0.1:0', '--tls-listen', '127.0.0.2:0', '--h2', '--uds', join(dir, `${name}.sock`)],
    ...flags,
  ]);
}

async function ready(program: Program): Promise<Proxy> {
  await program.until(/^ready, /m);
  const tcp = /http:\/\/127\.0\.0\.1:(\d+)/.exec(program.stdout)!;
  const tls = /https:\/\/127\.0\.0\.2:\d+/.exec(program.stdout)!;
  return { program, tcp: { host: '127.0.0.1', port: Number(tcp[1]) }, tls: tls[0] };
}

test.each([
  { how: 'untraced', requests: 20_000, tracing: [] },
  { how: 'each request traced', requests: 2000, tracing: ['--trace', '1/1', '--trace-keep', '20', '--trace-dir'] },
])(
  'three upgrades in a row under load lose no request, $how',
  {
    timeout: 120_000,
  },
  async ({ how, requests, tracing }) => {
    const traces = join(dir, 'traces');
    const flags = tracing.length === 0 ? [] : [...tracing, traces];
    let serving = await ready(start('row', { flags }));
    const { tcp, tls } = serving;
    const load = new Load();
    load.keepalive(tcp, 8);
    load.fresh(tcp, 2);
    load.keepalive({ path: join(dir, 'row.sock') }, 2);
    load.fresh({ path: join(dir, 'row.sock') }, 1);
    load.http2(tls, 2, 4);
    for (let i = 0; i < 3; i++) {
      const next = start('row', { flags: ['--upgrade', ...flags] });
      serving.program.child.kill('SIGQUIT');
      const taken = await ready(next);
      expect([taken.tcp, taken.tls]).toEqual([tcp, tls]);
      expect([await serving.program.ended, load.failures]).toEqual([{ code: 0, signal: null }, []]);
      serving = taken;
    }
    await load.until(requests);
    await load.stop();
    expect(load.failures).toEqual([]);
    // each connection of each of the three was told to close
    expect(load.told).toBeGreaterThanOrEqual(3 * 10);
    expect(existsSync(join(dir, 'row.upgrade'))).toBe(false);
    serving.program.child.kill('SIGINT');
    expect(await serving.program.ended).toEqual({ code: 0, signal: null });
    expect(existsSync(join(dir, 'row.sock'))).toBe(false);
    expect(existsSync(traces), how).toBe(flags.length > 0);
  },
);

test('a graceful stop under load answers whatever was sent', { timeout: 60_000 }, async () => {
  const { program, tcp, tls } = await ready(start('stop'));
  const load = new Load();
  load.keepalive(tcp, 8);
  load.fresh(tcp, 3);
  load.http2(tls, 2, 4);
  await load.until(2000);
  program.child.kill('SIGTERM');
  expect(await program.ended).toEqual({ code: 0, signal: null });
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.unreachable).toBeGreaterThan(0);
});

describe.each([
  ['that steal', 'threads: 2\n'],
  ['that do not steal', 'threads: 2\nwork_stealing: false\n'],
])('a server with threads %s', (how, more) => {
  const name = `threads-${how.replaceAll(' ', '-')}`;

  test('hands over to another one under load, and stops under load, and loses no request', {
    timeout: 120_000,
  }, async () => {
    const serving = await ready(start(name, { more }));
    const { tcp, tls } = serving;
    const load = new Load();
    load.keepalive(tcp, 8);
    load.fresh(tcp, 2);
    load.keepalive({ path: join(dir, `${name}.sock`) }, 2);
    load.fresh({ path: join(dir, `${name}.sock`) }, 1);
    load.http2(tls, 2, 4);
    await load.until(1000);
    const next = start(name, { more, flags: ['--upgrade'] });
    serving.program.child.kill('SIGQUIT');
    const taken = await ready(next);
    expect([taken.tcp, taken.tls]).toEqual([tcp, tls]);
    expect([await serving.program.ended, load.failures]).toEqual([{ code: 0, signal: null }, []]);
    await load.until(load.answered + 1000);
    expect(load.told).toBeGreaterThanOrEqual(10);
    taken.program.child.kill('SIGTERM');
    expect(await taken.program.ended).toEqual({ code: 0, signal: null });
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(existsSync(join(dir, `${name}.sock`))).toBe(false);
  });
});
