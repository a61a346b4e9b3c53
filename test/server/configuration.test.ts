import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PingoraError } from '../../src/error/lib.ts';
import { Opt, ServerConf } from '../../src/server/configuration/mod.ts';
import { Server } from '../../src/server/mod.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'conf-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

/** The one line that a refused configuration is refused with. */
function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    expect(error).toBeInstanceOf(PingoraError);
    const { context } = error as PingoraError;
    expect((error as PingoraError).etype().name).toBe('ReadError');
    expect(context).not.toContain('\n');
    return context ?? '';
  }
  throw new Error('it was accepted');
}

describe('what is left out has the default of the original', () => {
  test('of a generated configuration', () => {
    expect({ ...ServerConf.new() }).toEqual({
      version: 1,
      daemon: false,
      errorLog: undefined,
      pidFile: '/tmp/pingora.pid',
      upgradeSock: '/tmp/pingora_upgrade.sock',
      user: undefined,
      group: undefined,
      threads: 1,
      workStealing: true,
      caFile: undefined,
      clientBindToIpv4: [],
      clientBindToIpv6: [],
      upstreamKeepalivePoolSize: 128,
      upstreamConnectOffloadThreadpools: undefined,
      upstreamConnectOffloadThreadPerPool: undefined,
      gracePeriodSeconds: 300,
      // the port's own
      minGracePeriodSeconds: 0,
      gracefulShutdownTimeoutSeconds: 5,
      closeTimeoutSeconds: 5,
      upgradeSockConnectAcceptMaxRetries: 5,
      upgradeSockRetryIntervalSeconds: 1,
    });
  });

  test('of an empty file, whose version is 0', () => {
    expect({ ...ServerConf.fromYaml('') }).toEqual({ ...ServerConf.new(), version: 0 });
  });
});

describe('each field', () => {
  test.each([
    ['version: 2', 'version', 2],
    ['daemon: true', 'daemon', true],
    ['error_log: /var/log/p.log', 'errorLog', '/var/log/p.log'],
    ['error_log: null', 'errorLog', undefined],
    ['pid_file: /run/p.pid', 'pidFile', '/run/p.pid'],
    ['upgrade_sock: /run/p.sock', 'upgradeSock', '/run/p.sock'],
    ['user: nobody', 'user', 'nobody'],
    ['group: webusers', 'group', 'webusers'],
    ['threads: 4', 'threads', 4],
    ['work_stealing: false', 'workStealing', false],
    ['ca_file: /etc/ca.pem', 'caFile', '/etc/ca.pem'],
    ['client_bind_to_ipv4: [1.2.3.4, 5.6.7.8]', 'clientBindToIpv4', ['1.2.3.4', '5.6.7.8']],
    ['client_bind_to_ipv6: ["::1"]', 'clientBindToIpv6', ['::1']],
    ['upstream_keepalive_pool_size: 0', 'upstreamKeepalivePoolSize', 0],
    ['upstream_connect_offload_threadpools: 2', 'upstreamConnectOffloadThreadpools', 2],
    ['upstream_connect_offload_thread_per_pool: ~', 'upstreamConnectOffloadThreadPerPool', undefined],
    ['grace_period_seconds: 0.5', 'gracePeriodSeconds', 0.5],
    ['graceful_shutdown_timeout_seconds: 0', 'gracefulShutdownTimeoutSeconds', 0],
    ['close_timeout_seconds: 1', 'closeTimeoutSeconds', 1],
  ] as const)('%s', (line, field, value) => {
    expect(ServerConf.fromYaml(`---\n${line}\n`)[field]).toEqual(value);
  });

  test('is read back from what toYaml writes', () => {
    const conf = Object.assign(ServerConf.new(), { threads: 3, user: 'nobody', clientBindToIpv4: ['1.2.3.4'] });
    expect({ ...ServerConf.fromYaml(conf.toYaml()) }).toEqual({ ...conf });
  });
});

describe('what is wrong is named, with its file and line', () => {
  test.each([
    ['a mistyped key', 'version: 1\nthread: 2', 'line 2: unknown field "thread": did you mean "threads"?'],
    [
      'a key like no other',
      'zzzzzzzzzzzzzzzzzzzzzz: 2',
      'line 1: unknown field "zzzzzzzzzzzzzzzzzzzzzz": the keys are',
    ],
    ['a key that every object has', 'toString: 1', 'line 1: unknown field "toString"'],
    ['a word for a number', 'threads: many', 'line 1: "threads" must be a whole number from 1, not "many"'],
    ['no threads', 'threads: 0', '"threads" must be a whole number from 1, not 0'],
    ['half a thread', 'threads: 1.5', '"threads" must be a whole number from 1, not 1.5'],
    ['a number for a flag', 'version: 1\n\ndaemon: 1', 'line 3: "daemon" must be true or false, not 1'],
    ['nothing where something must be', 'threads:', '"threads" must be a whole number from 1, not null'],
    ['a negative time', 'grace_period_seconds: -1', '"grace_period_seconds" must be a number of seconds, not -1'],
    ['no time', 'grace_period_seconds: .nan', '"grace_period_seconds" must be a number of seconds'],
    [
      'a name for an address',
      'client_bind_to_ipv4: [localhost]',
      'must be a list of IPv4 addresses, not ["localhost"]',
    ],
    ['an address of the other family', 'client_bind_to_ipv6: [1.2.3.4]', 'must be a list of IPv6 addresses'],
    ['a list', '- threads', 'it must hold keys and values'],
    ['a word', 'threads', 'it must hold keys and values'],
    ['a bracket that is left open', 'version: 1\nuser: [a\n', 'at line 3'],
    ['a key that comes twice', 'threads: 1\nthreads: 2', 'Map keys must be unique at line 2'],
    ['an alias of nothing', 'user: *nobody', 'nobody'],
  ])('%s', (_, text, expected) => {
    const path = write('conf.yaml', text);
    const line = refusal(() => ServerConf.loadFromYaml(path));
    expect(line).toContain(path);
    expect(line).toContain(expected);
  });

  test('a file that is not there', () => {
    const path = join(dir, 'nowhere.yaml');
    expect(refusal(() => ServerConf.loadFromYaml(path))).toBe(
      `Unable to read conf file from ${path}: there is no such file`,
    );
  });

  test('a folder', () => {
    expect(refusal(() => ServerConf.loadFromYaml(dir))).toContain(`Unable to read conf file from ${dir}: EISDIR`);
  });

  test('no file at all', () => {
    expect(refusal(() => ServerConf.loadYamlWithOptOverride(new Opt()))).toBe('No path specified');
  });
});

describe('Server.new', () => {
  test('without options has the generated configuration', () => {
    const server = Server.new();
    expect(server.options).toBeUndefined();
    expect({ ...server.configuration }).toEqual({ ...ServerConf.new() });
  });

  test('with options and no file: the flag of the command line is set', () => {
    expect(Server.new(new Opt({ daemon: true })).configuration.daemon).toBe(true);
    expect(Server.new(new Opt()).configuration.daemon).toBe(false);
  });

  test('with a file: its values, and the flag of the command line', () => {
    const conf = write('server.yaml', 'version: 1\nthreads: 2\n');
    const server = Server.new(new Opt({ conf, daemon: true }));
    expect(server.configuration).toMatchObject({ threads: 2, daemon: true });
    expect(Server.new(new Opt({ conf })).configuration.daemon).toBe(false);
  });

  test('a flag that the command line leaves out does not take back what the file says', () => {
    const conf = write('daemon.yaml', 'daemon: true\n');
    expect(Server.new(new Opt({ conf })).configuration.daemon).toBe(true);
  });

  test('its watch turns true for nobody before a signal', () => {
    expect(Server.new().shutdownWatch.borrow()).toBe(false);
  });
});

describe('a configuration as YAML', () => {
  /** What strings are put together from: all that means something in YAML, and what has to be escaped. */
  const PIECES = [
    'a',
    ' ',
    '\n',
    '\r',
    '\t',
    ':',
    '#',
    '-',
    "'",
    '"',
    '~',
    'null',
    'true',
    '1',
    '.5',
    '|',
    '>',
    '&',
    '*',
  ];
  PIECES.push(
    '!',
    '%',
    '@',
    '`',
    '{',
    '}',
    '[',
    ']',
    ',',
    '?',
    '\\',
    '---',
    '...',
    '<<',
    '\0',
    '\u2028',
    '\ud800',
    'é',
    '😀',
  );

  /** Always the same numbers, from 0 to below `n`. */
  let seed = 1;
  const next = (n: number) => {
    seed = (seed * 48271) % 2147483647;
    return seed % n;
  };
  const text = () => Array.from({ length: next(40) + 1 }, () => PIECES[next(PIECES.length)]).join('');

  test('reads back the same, whatever its values', () => {
    for (let i = 0; i < 2000; i++) {
      const conf = ServerConf.new();
      conf.daemon = next(2) === 1;
      conf.errorLog = next(2) === 1 ? text() : undefined;
      conf.pidFile = text();
      conf.upgradeSock = text();
      conf.caFile = `${'a long word '.repeat(next(20))}${text()}`;
      conf.threads = [1, Number.MAX_SAFE_INTEGER][next(2)]!;
      conf.upstreamKeepalivePoolSize = [0, 128, Number.MAX_SAFE_INTEGER][next(3)]!;
      conf.upstreamConnectOffloadThreadpools = [undefined, 0, 7][next(3)];
      conf.clientBindToIpv4 = [[], ['0.0.0.0', '192.0.2.1']][next(2)]!;
      conf.clientBindToIpv6 = [[], ['::', '::ffff:1.2.3.4']][next(2)]!;
      conf.gracePeriodSeconds = [0, 0.1, 1e21, 1e-7, Number.MAX_VALUE, 5e-324][next(6)]!;
      expect(ServerConf.fromYaml(conf.toYaml())).toEqual(conf);
    }
  });

  test.each([
    ['gracePeriodSeconds', Infinity, /"grace_period_seconds" must be a number of seconds, not Infinity/],
    ['threads', 0, /"threads" must be a whole number from 1, not 0/],
    ['errorLog', '', /"error_log" must be a string, not ""/],
  ] as const)('is refused where no file could say it: %s %s', (field, value, expected) => {
    const conf = Object.assign(ServerConf.new(), { [field]: value });
    expect(() => conf.toYaml()).toThrow(expected);
  });
});
