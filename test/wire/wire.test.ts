/**
 * Pingora 0.1.0's own bytes: each recorded case is run against this proxy, and what its record says the port does is
 * held against what it does.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { captureLog } from '../support/log.ts';
import { answering, dechunk, HELLO, Origin, requestEnd } from '../support/origin.ts';
import { type RunningProxy, startProxy, ToOrigin } from '../support/proxy.ts';
import { type Peer, turn } from '../support/streams.ts';

interface Case {
  name: string;
  about?: string;
  client_sends: string[];
  origin_answers: string[];
  origin_receives: string;
  client_receives: string;
  connection: 'open' | 'closed' | 'closed by client';
  port: 'same' | { same_but: string } | { differs: string; connection: 'open' | 'closed' };
}

const recorded = (file: string) =>
  JSON.parse(readFileSync(new URL(`../../src/tracing/pingora-0.1.0/${file}`, import.meta.url), 'utf8')) as Case[];

const cases = recorded('wire.json');
/** Recorded later, where both do the same but for a few: names instead of sentences. */
const more = recorded('wire-more.json');

const dateless = (wire: string) => wire.replace(/(?<=\r\nDate: )[^\r]*/g, '*');

/** What the origin and the client saw of a case. */
interface Run {
  origin: Origin;
  proxy: RunningProxy;
  client: Peer;
}

/** Answer as the script says: an entry a request, `CLOSE` at once, `RAW:` after the bytes that come next. */
function scripted(script: string[]): (connection: Peer) => Promise<void> {
  const answers = [...script];
  return async (connection) => {
    let at = 0;
    const next = async () => {
      at += requestEnd(await connection.until((got) => requestEnd(got.slice(at)) >= 0).then((got) => got.slice(at)));
    };
    while (answers.length > 0) {
      const raw = answers[0]!.startsWith('RAW:');
      if (raw) at = (await connection.until((got) => got.length > at)).length;
      else await next();
      connection.send(answers.shift()!.replace(/^(RAW:|CLOSE$)/, ''));
      if (answers[0] === 'CLOSE' || connection.received === '') answers.shift();
      else continue;
      connection.socket.end();
      return;
    }
    // what is sent to see that the connection lives
    for (;;) {
      await next();
      connection.send(HELLO);
    }
  };
}

/** How many final responses, or switches of protocol, are whole in `text`. */
function responses(text: string, head: boolean): number {
  let count = 0;
  for (let rest = text; ; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return count;
    const fields = rest.slice(0, end).toLowerCase();
    const status = Number(fields.slice(9, 12));
    rest = rest.slice(end + 4);
    if (status < 200 && status !== 101) continue;
    if (status >= 200 && status !== 204 && status !== 304 && !head) {
      if (fields.includes('\r\ntransfer-encoding: chunked')) {
        if (!rest.includes('0\r\n\r\n')) return count;
        rest = dechunk(rest).rest;
      } else {
        const length = Number(/\r\ncontent-length: (\d+)/.exec(fields)?.[1] ?? Number.POSITIVE_INFINITY);
        if (rest.length < length) return count;
        rest = rest.slice(length);
      }
    }
    count++;
  }
}

/** Run a case until so much has arrived as its record says, or the connection has ended. */
async function run(wire: Case, expected = wire.client_receives): Promise<Run> {
  captureLog('silent');
  const script = [...wire.origin_answers];
  const serve = scripted(script);
  const origin = await Origin.start((connection) => (script[0] === 'CLOSE' ? closing(connection) : serve(connection)));
  const proxy = await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`));
  const client = await proxy.client();
  const head = wire.client_sends[0]!.startsWith('HEAD');
  for (const [index, text] of wire.client_sends.entries()) {
    if (text === 'CLOSE') {
      while (!origin.received.includes('\r\n\r\n')) await turn();
      client.socket.destroy();
      return { origin, proxy, client };
    }
    if (index > 0) {
      if (wire.name === 'split-head') for (let i = 0; i < 10; i++) await turn();
      else await client.until((got) => responses(got, head) >= index);
    }
    client.send(text);
  }
  const { length } = expected;
  while (dateless(client.received).length < length && !client.ended) await turn();
  return { origin, proxy, client };
}

/** An origin that reads a request and closes. */
async function closing(connection: Peer): Promise<void> {
  await connection.until((got) => requestEnd(got) >= 0);
  connection.socket.end();
}

async function received(origin: Origin, expected: string): Promise<void> {
  while (origin.received.length < expected.length) await turn();
}

/** The connection ends, or serves: then the bytes before that are what has been received. */
async function state(
  { client, origin }: Run,
  connection: 'open' | 'closed',
): Promise<{ client: string; origin: string }> {
  const before = { client: dateless(client.received), origin: origin.received };
  if (connection === 'closed') {
    const all = dateless(await client.end());
    return { client: all, origin: origin.received };
  }
  expect(client.ended).toBe(false);
  if (before.client.startsWith('HTTP/1.1 101')) {
    client.send('more');
    await received(origin, `${before.origin}more`);
    return before;
  }
  client.send('GET /alive HTTP/1.1\r\nHost: example.test\r\n\r\n');
  const alive = dateless(
    await client.until((got) => dateless(got).length > before.client.length && got.endsWith('hello')),
  );
  expect(alive.slice(before.client.length)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nhello$/s);
  return before;
}

const BAD_REQUEST =
  'HTTP/1.1 400 Bad Request\r\nServer: Pingora\r\nDate: *\r\nContent-Length: 0\r\n' +
  'Cache-Control: private, no-store\r\nConnection: close\r\n\r\n';
const ANSWER = (connection: string) =>
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nDate: *\r\nConnection: ${connection}\r\n\r\nhello`;
const plain = (target: string) => `GET ${target} HTTP/1.1\r\nHost: example.test\r\n\r\n`;
const refused = { client: BAD_REQUEST, origin: '' };

/** What this proxy does where 0.1.0 is wrong or unsafe: the bytes that it sends to either side. */
const differing: Record<string, { says: RegExp; client: string; origin: string; also?: (run: Run) => Promise<void> }> =
  {
    pipelined: {
      says: /^both requests are answered, in order, on the one connection$/,
      origin: plain('/1') + plain('/2'),
      client: ANSWER('keep-alive') + ANSWER('keep-alive'),
    },
    http10: {
      says: /^the origin gets HTTP\/1\.1; the client gets Connection: close/,
      origin: plain('/'),
      client: ANSWER('close'),
    },
    'http10-keep-alive': {
      says: /^as http10: answered, then closed; Connection is not forwarded$/,
      origin: plain('/'),
      client: ANSWER('close'),
    },
    'connection-close': {
      says: /the origin gets none, and its connection stays usable; the client gets the same bytes as recorded$/,
      origin: plain('/'),
      client: ANSWER('close'),
      async also({ proxy, origin }) {
        const second = await proxy.client();
        second.send(plain('/again'));
        await second.until((got) => got.endsWith('hello'));
        expect(origin.connections.length).toBe(1);
      },
    },
    'chunked-answer-http10': {
      says: /^the origin gets HTTP\/1\.1; no chunked coding to an HTTP\/1\.0 client: the body ends with the connection$/,
      origin: plain('/'),
      client: 'HTTP/1.1 200 OK\r\nDate: *\r\nConnection: close\r\n\r\nhello',
    },
    'answer-http10': {
      says: /^the status line carries the proxy's own version, HTTP\/1\.1$/,
      origin: plain('/'),
      client: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: *\r\nConnection: keep-alive\r\n\r\nhello',
    },
    'early-hints': {
      says: /^the 103 and then the 200, whole$/,
      origin: plain('/'),
      client: `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n${ANSWER('keep-alive')}`,
    },
    'expect-continue': {
      says: /^the 100 and then the 200, whole$/,
      origin: 'POST /p HTTP/1.1\r\nHost: example.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n12345',
      client: `HTTP/1.1 100 Continue\r\n\r\n${ANSWER('keep-alive')}`,
    },
    'absolute-form': {
      says: /^forwarded in origin form, Host taken from the target$/,
      origin: plain('/abs?q=1'),
      client: ANSWER('keep-alive'),
    },
    'no-host': { says: /^400 and the connection closes .* nothing reaches the origin$/, ...refused },
    'length-and-chunked': { says: /^400; or forwarded .*the connection closes either way/, ...refused },
    'two-lengths': { says: /^400; nothing reaches the origin$/, ...refused },
    'host-8bit': { says: /^400 and the connection closes .* nothing reaches the origin$/, ...refused },
    'host-badport': { says: /^400 and the connection closes .* nothing reaches the origin$/, ...refused },
  };

const same = cases.filter(({ port }) => port === 'same').map((wire) => [`${wire.name}: ${wire.about}`, wire] as const);

describe('the same as Pingora 0.1.0', () => {
  it.each([...same, ...more.filter(({ port }) => port === 'same').map((wire) => [wire.name, wire] as const)])(
    '%s',
    async (_title, wire) => {
      const ran = await run(wire);
      await received(ran.origin, wire.origin_receives);
      if (wire.connection === 'closed by client') {
        await ran.origin.connections[0]!.end();
        expect([ran.client.received, ran.origin.received]).toEqual([wire.client_receives, wire.origin_receives]);
        return;
      }
      expect(await state(ran, wire.connection)).toEqual({ client: wire.client_receives, origin: wire.origin_receives });
    },
  );
});

/** Head and body of a chunked message. */
function parts(message: string): { head: string; body: string; rest: string } {
  const end = message.indexOf('\r\n\r\n') + 4;
  return { head: message.slice(0, end), ...dechunk(message.slice(end)) };
}

describe('the same as Pingora 0.1.0 in meaning', () => {
  const saying = (text: string) =>
    cases
      .filter(({ port }) => typeof port === 'object' && 'same_but' in port && port.same_but === text)
      .map((wire) => [`${wire.name}: ${wire.about}`, wire] as const);

  const CHUNKS = 'chunk boundaries may differ; the decoded body is the same';
  const FORWARDED = 'forwarded byte for byte as recorded, or 400 and closed';
  const STATUSES: Record<string, number[]> = { '400 or 505': [400, 505], '400 or 431': [400, 431] };

  it('has no case that nobody checks', () => {
    const checked = new Set([CHUNKS, FORWARDED, ...Object.keys(STATUSES)]);
    for (const { port } of cases)
      if (typeof port === 'object' && 'same_but' in port) expect(checked).toContain(port.same_but);
  });

  it.each(saying(CHUNKS))('%s', async (_title, wire) => {
    // chunks may be cut in more pieces: the end of the body is what to wait for
    const ran = await run(wire, '');
    await ran.client.until((got) => responses(got, false) === 1);
    const { client, origin } = await state(ran, wire.connection as 'open');
    const inChunks = (message: string) => /transfer-encoding: chunked/i.test(message);
    const same = (got: string, recorded: string) =>
      inChunks(recorded) ? expect(parts(got)).toEqual(parts(recorded)) : expect(got).toBe(recorded);
    same(client, wire.client_receives);
    same(origin, wire.origin_receives);
  });

  it.each(saying(FORWARDED))('%s', async (_title, wire) => {
    const ran = await run(wire);
    expect(await state(ran, 'open')).toEqual({ client: wire.client_receives, origin: wire.origin_receives });
  });

  it.each(Object.keys(STATUSES).flatMap(saying))('%s', async (_title, wire) => {
    const ran = await run(wire, '');
    const { client, origin } = await state(ran, 'closed');
    const allowed = STATUSES[(wire.port as { same_but: string }).same_but]!;
    expect(allowed).toContain(Number(client.slice(9, 12)));
    expect(responses(client, false)).toBe(1);
    expect(origin).toBe('');
  });
});

describe('where Pingora 0.1.0 is wrong', () => {
  const differs = [...cases, ...more].filter(({ port }) => typeof port === 'object' && 'differs' in port);

  it('has no case that nobody checks', () => {
    expect(differs.map(({ name }) => name).sort()).toEqual(Object.keys(differing).sort());
  });

  const title = ({ name, about }: Case) => (about === undefined ? name : `${name}: ${about}`);
  it.each(differs.map((wire) => [title(wire), wire] as const))('%s', async (_title, wire) => {
    const right = wire.port as { differs: string; connection: 'open' | 'closed' };
    const { says, client, origin, also } = differing[wire.name]!;
    expect(right.differs).toMatch(says);
    const ran = await run(wire, client);
    expect(await state(ran, right.connection)).toEqual({ client, origin });
    await also?.(ran);
  });
});

describe('what the recorded cases leave open', () => {
  const upgrade = 'GET /ws HTTP/1.1\r\nHost: example.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

  async function through(serve?: (connection: Peer, index: number) => unknown): Promise<Run> {
    captureLog('silent');
    const origin = await Origin.start(serve);
    const proxy = await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`));
    return { origin, proxy, client: await proxy.client() };
  }

  // The original sends on what follows an Upgrade as soon as it comes: a request hidden there reaches the origin past
  // every filter, and its answer is given to whoever uses the connection next.
  it('sends nothing of what follows an upgrade to the origin before it has agreed', async () => {
    const { origin, client } = await through();
    client.send(`${upgrade}${plain('/hidden')}`);
    const got = await client.until((text) => text.split('hello').length === 3);
    expect(responses(got, false)).toBe(2);
    const [first, second] = origin.connections
      .map(({ received: text }) => text)
      .join('')
      .split(plain('/hidden'));
    expect([first, second]).toEqual([upgrade, '']);
  });

  it('gives the whole of a refusal to an upgrade, however late its body comes', async () => {
    let finish = () => {};
    const { client } = await through(async (connection) => {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n');
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      connection.send('3\r\nllo\r\n0\r\n\r\n');
    });
    client.send(upgrade);
    await client.until((got) => got.endsWith('he\r\n'));
    finish();
    const got = await client.until((text) => responses(text, false) === 1);
    expect(parts(got).body).toBe('hello');
  });

  it('gives the answer to a request with a body that asks for an upgrade too', async () => {
    const { client } = await through();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabc');
    await client.until((got) => got.endsWith('hello'));
    client.send(
      'POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    );
    expect(responses(await client.until((got) => got.split('hello').length === 3), false)).toBe(2);
  });

  it('ends an upgraded connection on both sides when either ends it', async () => {
    for (const who of ['client', 'origin'] as const) {
      const { client, origin } = await through(async (connection) => {
        await connection.until((got) => requestEnd(got) >= 0);
        connection.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nhi');
      });
      client.send(upgrade);
      await client.until((got) => got.endsWith('hi'));
      const far = origin.connections[0]!;
      (who === 'client' ? client : far).socket.end();
      await (who === 'client' ? far : client).end();
    }
  });

  it('forwards a body that is larger than any buffer, both ways', async () => {
    const body = Array.from({ length: 3_000_000 / 10 }, (_, i) => String(i).padStart(10, '0')).join('');
    const { client, origin } = await through(
      answering((request) => {
        const got = request.slice(request.indexOf('\r\n\r\n') + 4);
        return `HTTP/1.1 200 OK\r\nContent-Length: ${got.length}\r\n\r\n${got}`;
      }),
    );
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const got = await client.until((text) => responses(text, false) === 1);
    expect(got.endsWith(body)).toBe(true);
    expect(origin.received.endsWith(body)).toBe(true);
  });
});
