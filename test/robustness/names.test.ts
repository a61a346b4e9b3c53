/**
 * Names that JavaScript has on every object. Whoever keeps names that come from elsewhere in a plain object finds them
 * there before anybody put them in, or loses them.
 */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { readEntry } from '../../explorer/live.ts';
import { parseTrace } from '../../explorer/trace.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { answering, Origin } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';

const NAMES = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'prototype'];

test.each(NAMES)('a field named %s arrives once, with its value, in both directions', async (name) => {
  const origin = await Origin.start(
    answering(() => `HTTP/1.1 200 OK\r\n${name}: from origin\r\nContent-Length: 0\r\n\r\n`),
  );
  const { client } = await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`));
  const peer = await client();
  peer.send(`GET /?${name}=1&${name}=2 HTTP/1.1\r\nHost: a\r\n${name}: from client\r\nConnection: close\r\n\r\n`);
  const answer = await peer.end();
  expect(answer.match(new RegExp(`^${name}: .*$`, 'gim'))).toEqual([`${name}: from origin`]);
  expect(origin.received.match(new RegExp(`^${name}: .*$`, 'gim'))).toEqual([`${name}: from client`]);
  expect(origin.received).toContain(`/?${name}=1&${name}=2 `);
});

const valuesOf = (raw: readonly string[], name: string): string[] =>
  raw.flatMap((key, i) => (i % 2 === 0 && key === name ? [raw[i + 1]!] : []));

test.each(NAMES.map((name) => name.toLowerCase()))(
  'a field named %s arrives once over HTTP/2, from the client, to an origin, and back',
  async (name) => {
    let arrived: string[] = [];
    // node:http2 loses such names in its object of fields, and not in its list
    const { peer } = await h2Origin((stream, _headers, raw) => {
      arrived = valuesOf(raw, name);
      stream.respond(JSON.parse(`{":status":200,"${name}":"from origin"}`));
      stream.end();
    });
    const { client } = await startH2Proxy(new ToPeer(peer()));
    const stream = client().request(JSON.parse(`{":path":"/?${name}=1","${name}":"from client"}`));
    const [, , raw] = (await once(stream, 'response')) as unknown as [unknown, unknown, string[]];
    expect(valuesOf(raw, name)).toEqual(['from origin']);
    expect(arrived).toEqual(['from client']);
  },
);

test.each(NAMES)('a key %s of a configuration is unknown', (name) => {
  expect(() => ServerConf.fromYaml(`version: 1\n${name}: 1\n`)).toThrow(`unknown field "${name}"`);
});

test.each(NAMES)('a trace may have the scenario, the function, the task and the event %s', (name) => {
  const span = {
    ...{ id: 1, parent: null, task: 1, phase: 'request', fn: name, rust: null, ts: null },
    ...{ start: 0, end: 1, status: 'ok', attributes: {} },
  };
  const trace = {
    ...{ version: 2, pingora: '0.1.0', scenario: name, node: 'v20.0.0' },
    tasks: [{ id: 1, name, spawnedBy: null }],
    spans: [span],
    events: [{ kind: name, time: 0, span: 1 }],
  };
  expect(parseTrace(JSON.stringify(trace))).toMatchObject({ scenario: name });
  expect(readEntry(JSON.parse(`{"id":"1","${name}":"x"}`))).toMatchObject({ id: '1', name: 'trace 1', spans: null });
});
