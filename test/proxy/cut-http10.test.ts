/** An answer to HTTP/1.0 ends with its connection: one that was cut short ends in another way. */
import { expect, test } from 'vitest';
import { wasReset } from '../../src/node/reset.ts';
import { captureLog } from '../support/log.ts';
import { Origin } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';
import type { Peer } from '../support/streams.ts';

/** What a client of HTTP/1.0 gets of what the origin does, and how its connection ends. */
async function answered(answer: (connection: Peer) => unknown): Promise<[text: string, end: string]> {
  captureLog('silent');
  const origin = await Origin.start(async (connection) => {
    await connection.until((got) => got.includes('\r\n\r\n'));
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await client.until((got) => got.endsWith('hello'));
    answer(connection);
  });
  const proxy = await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`));
  const client = await proxy.client();
  const end = new Promise<string>((resolve) => {
    client.socket.once('error', () => resolve('reset'));
    client.socket.once('end', () => resolve(wasReset(client.socket) ? 'reset' : 'end'));
  });
  client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  return [(await end.then(() => client.received)).split('\r\n\r\n')[1]!, await end];
}

test('a whole one ends with the connection', async () => {
  expect(await answered((connection) => connection.send('0\r\n\r\n'))).toEqual(['hello', 'end']);
});

test.each<[string, (connection: Peer) => unknown]>([
  ['ends', (connection) => connection.socket.end()],
  ['is reset', (connection) => connection.reset()],
  ['breaks the rules', (connection) => connection.send('no length\r\n')],
])('one whose origin %s is reset', async (_, cut) => {
  expect(await answered(cut)).toEqual(['hello', 'reset']);
});
