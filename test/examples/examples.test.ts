/** The examples, run as their readers run them. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { installed } from '../support/packed.ts';
import { Program } from '../support/program.ts';

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

/** An origin that answers with its name and the path. */
async function origin(name: string): Promise<string> {
  const server: Server = createServer((incoming, outgoing) => {
    outgoing.setHeader('Alt-Svc', 'h3=":443"');
    outgoing.end(`${name} ${incoming.url}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A port where nothing listens. */
async function nobody(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

async function start(name: string, env: Record<string, string>): Promise<Program> {
  const program = new Program(`examples/${name}.js`, [], {
    installed: await installed(),
    env: { LISTEN: '127.0.0.1:0', ...env },
  });
  onTestFinished(() => void program.child.kill('SIGKILL'));
  await program.until(/listening on \S+/);
  return program;
}

const port = (program: Program): number => Number(/listening on \S+:(\d+)/.exec(program.stdout)?.[1]);

async function get(to: number, path: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  const method = body === undefined ? 'GET' : 'POST';
  const sent = request({ host: '127.0.0.1', port: to, path, headers, method, agent: false });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of answer) text += piece;
  return { status: answer.statusCode!, headers: answer.headers, body: text };
}

test('load-balancer: requests go to the origins in turn, and not to one that is down', async () => {
  const ORIGINS = [await origin('one'), await origin('two'), await nobody()].join(',');
  const program = await start('load-balancer', { ORIGINS });
  const bodies: string[] = [];
  // the first check may come after the first requests: only what follows three good ones counts
  while (bodies.slice(-6).filter((body) => /one|two/.test(body)).length < 6) {
    bodies.push((await get(port(program), '/')).body);
  }
  expect(new Set(bodies.slice(-6))).toEqual(new Set(['one /', 'two /']));
});

test('gateway: routes, asks for the password, changes the response, logs', async () => {
  const program = await start('gateway', { MAIN: await origin('main'), FAMILY: await origin('family') });
  expect(await get(port(program), '/a')).toMatchObject({ status: 200, body: 'main /a' });
  expect(await get(port(program), '/family/b')).toMatchObject({ status: 200, body: 'family /family/b' });
  expect(await get(port(program), '/login')).toMatchObject({ status: 403, body: '' });
  const allowed = await get(port(program), '/login', { Authorization: 'password' });
  expect(allowed).toMatchObject({ status: 200, headers: { server: 'MyGateway' } });
  expect(allowed.headers).not.toHaveProperty('alt-svc');
  await program.until(/#3 GET \/login, Host: \S+ 403/);
});

test('ctx: what a request carries stays with it, what is counted is shared', async () => {
  const program = await start('ctx', { STABLE: await origin('stable'), BETA: await origin('beta') });
  expect(await get(port(program), '/')).toMatchObject({ body: 'stable /', headers: { 'x-user': '#1' } });
  expect(await get(port(program), '/', { 'Beta-Flag': '1' })).toMatchObject({
    body: 'beta /',
    headers: { 'x-user': 'beta #1' },
  });
  expect(await get(port(program), '/')).toMatchObject({ body: 'stable /', headers: { 'x-user': '#3' } });
});

test('rate-limit: what is over the limit is answered 429 and does not reach the origin', async () => {
  const program = await start('rate-limit', { ORIGIN: await origin('origin'), LIMIT: '2' });
  const limited = { AppId: 'a' };
  const statuses: number[] = [];
  // a second may end in between, which forgives: in a row of twelve there are more than two in one second
  for (let i = 0; i < 12; i++) statuses.push((await get(port(program), '/', limited)).status);
  expect(statuses.slice(0, 1)).toEqual([200]);
  expect(statuses).toContain(429);
  expect(await get(port(program), '/')).toMatchObject({ status: 200, body: 'origin /' });
});

test('echo-server: answers with the body that it got', async () => {
  const program = await start('echo-server', {});
  expect(await get(port(program), '/', {}, 'hello')).toMatchObject({ status: 200, body: 'hello' });
  expect(await get(port(program), '/')).toMatchObject({ status: 200, body: 'no body!' });
});

test('multiple-services: each service has its own endpoint and application', async () => {
  const LISTEN = Array(4).fill('127.0.0.1:0').join(',');
  const program = await start('multiple-services', { LISTEN, ORIGIN: await origin('origin') });
  await program.until(/Prometheus metric HTTP/);
  const portOf = async (name: string) => Number((await program.until(new RegExp(`:(\\d+): ${name}`)))[1]);

  const echo = connect(await portOf('Echo Service'), '127.0.0.1');
  echo.end('hello');
  let echoed = '';
  for await (const piece of echo) echoed += piece;
  expect(echoed).toBe('hello');

  expect(await get(await portOf('Forward Service'), '/f')).toMatchObject({ body: 'origin /f' });
  expect(await get(await portOf('Pingora HTTP Proxy Service'), '/p')).toMatchObject({ body: 'origin /p' });
  expect(await get(await portOf('Prometheus metric HTTP'), '/metrics')).toMatchObject({ status: 200 });
});

test('a flag that is not known ends an example with one line', async () => {
  const program = new Program('examples/echo-server.js', ['--nope'], { installed: await installed() });
  expect(await program.ended).toMatchObject({ code: 2 });
  expect(program.stderr.trim().split('\n')).toHaveLength(1);
  expect(program.stderr).toContain('--nope');
});
