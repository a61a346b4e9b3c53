/** Connections of HTTP/2 on a server whose other tasks never leave room. */
import { afterEach, expect, test } from 'vitest';
import { ResponseHeader } from '../../../src/http/lib.ts';
import { HttpTask } from '../../../src/protocols/http/mod.ts';
import { pollInTurn, type Woken } from '../../../src/runtime/turn.ts';
import { bodyOf, listen, type Running, request } from './harness.ts';

let running: Running | undefined;
let isBusy = false;
const other: Woken = {
  poll() {
    if (isBusy) pollInTurn(other);
  },
};

afterEach(async () => {
  isBusy = false;
  await running?.close();
  running = undefined;
});

test.each([2, 20])(
  'each of %i connections is read in its turn: requests with bodies are answered whole',
  async (connections) => {
    running = await listen(async (session) => {
      const body = Buffer.from(String((await bodyOf(session)).length));
      session.responseDuplexVec([HttpTask.Header(ResponseHeader.build(200), false), HttpTask.Body(body, true)]);
    });
    const clients = Array.from({ length: connections }, () => running!.client());
    isBusy = true;
    for (let i = 0; i < 100; i++) pollInTurn(other);
    const body = 'x'.repeat(100_000);
    const answers = await Promise.all(
      clients.flatMap((client) => [1, 2, 3].map(() => request(client, { ':path': '/', ':method': 'POST' }, body))),
    );
    expect(new Set(answers.map((answer) => `${answer.status} ${answer.body}`))).toEqual(new Set(['200 100000']));
    expect(answers).toHaveLength(3 * connections);
  },
);
