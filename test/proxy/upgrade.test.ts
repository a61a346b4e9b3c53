/** Upgrades whose request has a body or a length, as `docker exec` and `docker attach` send them. */
import { describe, expect, test } from 'vitest';
import { h2Origin } from '../support/h2-origin.ts';
import { ToPeer } from '../support/h2-proxy.ts';
import { Origin, requestEnd } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';

const HEAD = 'POST /exec/1/start HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n';
const SWITCH = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';

/** Requests: what comes with the head, and what comes later. */
const REQUESTS: [string, string, string][] = [
  ['without a length', '\r\n', ''],
  ['with Content-Length: 0', 'Content-Length: 0\r\n\r\n', ''],
  ['with a body that comes with the head', 'Content-Length: 13\r\n\r\n{"Tty":false}', ''],
  ['with a body that comes later', 'Content-Length: 13\r\n\r\n', '{"Tty":false}'],
  ['with chunks', 'Transfer-Encoding: chunked\r\n\r\n', 'D\r\n{"Tty":false}\r\n0\r\n\r\n'],
];

describe.each(REQUESTS)('an upgrade %s', (_, rest, later) => {
  test('is passed on both ways behind its 101, in many pieces, until the client ends', async () => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => requestEnd(got) > 0);
      connection.send(`${SWITCH}hello from the origin`);
    });
    const client = await (await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`))).client();
    client.send(HEAD + rest);
    if (later !== '') {
      // the head is there before the body comes
      while (origin.connections.length === 0 || origin.received === '') await new Promise(setImmediate);
      client.send(later);
    }
    await client.until((got) => got.startsWith('HTTP/1.1 101 ') && got.endsWith('hello from the origin'));
    const served = origin.connections[0]!;
    for (let n = 1; n <= 3; n++) {
      client.send(`>${n}`);
      await served.until((got) => got.endsWith(`>${n}`));
      served.send(`<${n}`);
      await client.until((got) => got.endsWith(`<${n}`));
    }
    expect(served.received.slice(requestEnd(served.received))).toBe('>1>2>3');
    client.socket.end('last');
    expect(await served.end()).toMatch(/last$/);
    served.socket.end();
    await client.end();
  });

  test('ends when the origin ends', async () => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => requestEnd(got) > 0);
      connection.socket.end(`${SWITCH}bye`);
    });
    const client = await (await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`))).client();
    client.send(HEAD + rest + later);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 101 (?:.|\s)*bye$/);
  });

  test('that is refused is an answer like others, and the next request follows', async () => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => requestEnd(got) > 0);
      connection.send('HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno');
      await connection.until((got) => got.endsWith('GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n'));
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes');
    });
    const client = await (await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`))).client();
    client.send(HEAD + rest + later);
    await client.until((got) => got.endsWith('no'));
    client.send('GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n');
    expect(await client.until((got) => got.endsWith('yes'))).toContain('HTTP/1.1 409 ');
  });
});

test('a HEAD that is answered with 101 is a tunnel as any other', async () => {
  const origin = await Origin.start(async (connection) => {
    await connection.until((got) => requestEnd(got) > 0);
    connection.send(`${SWITCH}hello`);
  });
  const client = await (await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`))).client();
  client.send(`${HEAD.replace('POST', 'HEAD')}\r\n`);
  await client.until((got) => got.startsWith('HTTP/1.1 101 ') && got.endsWith('hello'));
  client.socket.end('last');
  expect(await origin.connections[0]!.end()).toMatch(/last$/);
  origin.connections[0]!.socket.end();
  await client.end();
});

test('what a 101 that comes before the whole body has cut off goes on as the body, and then as the new protocol', async () => {
  const origin = await Origin.start(async (connection) => {
    await connection.until((got) => got.endsWith('{"Tty"'));
    connection.send(SWITCH);
  });
  const client = await (await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`))).client();
  client.send(`${HEAD}Content-Length: 13\r\n\r\n{"Tty"`);
  await client.until((got) => got.endsWith('\r\n\r\n'));
  client.send(':false}');
  client.send('tunnel');
  const served = origin.connections[0]!;
  await served.until((got) => got.endsWith('{"Tty":false}tunnel'));
  served.send('back');
  expect(await client.until((got) => got.endsWith('back'))).toMatch(/^HTTP\/1\.1 101 /);
});

test('is no reason to leave the end of the request out on its way to an HTTP/2 origin', async () => {
  // it answers what is whole
  const origin = await h2Origin((stream) => {
    stream.on('end', () => {
      stream.respond({ ':status': 200 });
      stream.end('hello');
    });
    stream.resume();
  });
  const client = await (await startProxy(new ToPeer(origin.peer()))).client();
  for (const rest of ['\r\n', 'Content-Length: 2\r\n\r\nhi']) {
    client.received = '';
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${rest}`);
    expect(await client.until((got) => got.endsWith('0\r\n\r\n'))).toMatch(/^HTTP\/1\.1 200 /);
  }
});
