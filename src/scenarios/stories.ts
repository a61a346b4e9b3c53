/** Scenarios of what goes wrong, and of who waits for whom: those of the chapters that tell a story. */
import { BODY } from './origin.ts';
import { answered, type Scenario } from './scenario.ts';

export const stories: readonly Scenario[] = [
  {
    name: 'broken-answer',
    about: 'the origin breaks off in the middle of its answer',
    listeners: ['tcp'],
    does: ['GET /broken; the origin sends a head that announces 67 bytes, ten of them, and closes'],
    client: async (client) => {
      const got = await client.raw('GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n');
      if (!got.startsWith('HTTP/1.1 200 ') || !got.endsWith(`\r\n\r\n${BODY.slice(0, 10)}`)) {
        throw new Error(`what came is ${JSON.stringify(got)}`);
      }
    },
  },
  {
    name: 'broken-reuse',
    about: 'a connection from the pool breaks under a PUT, which is sent again on a new one',
    listeners: ['tcp'],
    does: ['GET /one', 'PUT /again, body "hello"; the origin closes the connection instead of answering, once'],
    client: async (client) => {
      answered(await client.http('/one'), 200);
      answered(await client.http('/again', { method: 'PUT', body: 'hello' }), 200);
    },
  },
  {
    name: 'closed-in-pool',
    about: 'the origin closes a connection while it waits in the pool',
    listeners: ['tcp'],
    does: ['GET /one', 'the origin closes its kept connection', 'GET /two'],
    client: async (client, { origin, ended }) => {
      answered(await client.http('/one'), 200);
      origin.hangUp();
      await ended('ConnectionPool::idle_poll', 1);
      answered(await client.http('/two'), 200);
    },
  },
  {
    name: 'slow-logging',
    about: 'a logging hook that takes its time: who waits for it',
    listeners: ['tcp'],
    does: [
      'GET /slow, answered; its logging hook waits',
      'GET /other on another connection, answered meanwhile',
      'GET /next on the first connection, answered when the hook is done',
    ],
    app: { slowLogging: true },
    client: async (client) => {
      answered(await client.http('/slow'), 200);
      const next = client.http('/next');
      answered(await client.alone('/other'), 200);
      client.put('enough');
      answered(await next, 200);
    },
  },
  {
    name: 'health-flip',
    about: 'a health check finds the only origin dead, and then alive again',
    listeners: ['tcp'],
    does: [
      'GET /a: 200',
      'the origin stops listening, and a check finds out; GET /b: 500',
      'the origin listens again, and a check finds out; GET /c: 200',
    ],
    beside: 'health-check',
    client: async (client, { origin, more }) => {
      answered(await client.http('/a'), 200);
      await origin.stop();
      await more('Backends::run_health_check', 1);
      answered(await client.alone('/b'), 500);
      await origin.start();
      await more('Backends::run_health_check', 1);
      answered(await client.alone('/c'), 200);
    },
  },
  {
    name: 'takeover',
    about: 'a new process takes the listening socket over from an old one (--upgrade)',
    listeners: ['tcp'],
    does: ['an old process hands its socket over and leaves', 'GET /'],
    takesOver: true,
    client: async (client) => answered(await client.http('/'), 200),
  },
];
