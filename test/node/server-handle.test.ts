import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { descriptorOf, handleOf } from '../../src/node/server-handle.ts';
import { inThisNode } from './support.ts';

test(inThisNode("a listening server's handle is in _handle, and its descriptor in _handle.fd"), async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  expect(handleOf(server)).toBeTypeOf('object');
  expect(descriptorOf(server)).toBeGreaterThan(2);
  // what can be listened on is a handle, and it is the socket of that server
  const other = createServer().listen(handleOf(server));
  await once(other, 'listening');
  expect(other.address()).toEqual(server.address());
  const gone = [server, other].map((each) => once(each, 'close'));
  server.close();
  other.close();
  await Promise.all(gone);
});

test('a server that does not listen has neither', () => {
  expect(descriptorOf(createServer())).toBe(-1);
  expect(() => handleOf(createServer())).toThrow('no handle');
});
