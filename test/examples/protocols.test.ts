/** The examples of protocols over HTTP and of bodies that change, with the clients and servers that people use. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ClientDuplexStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { installed } from '../support/packed.ts';
import { Program } from '../support/program.ts';

async function start(name: string, env: Record<string, string>): Promise<{ program: Program; port: number }> {
  const program = new Program(`examples/${name}.js`, [], {
    installed: await installed(),
    env: { LISTEN: '127.0.0.1:0', ...env },
  });
  onTestFinished(() => void program.child.kill('SIGKILL'));
  const [, port] = await program.until(/listening on \S+:(\d+)/);
  return { program, port: Number(port) };
}

async function origin(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('websocket: messages get through, pages of other sites don’t', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  onTestFinished(() => server.close());
  server.on('connection', (socket) => socket.on('message', (data: Buffer) => socket.send(`you said ${data}`)));
  const ORIGIN = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { program, port } = await start('websocket', { ORIGIN, SITE: 'https://good.test' });

  const bad = new WebSocket(`ws://127.0.0.1:${port}/`, { origin: 'https://bad.test' });
  const [error] = (await once(bad, 'error')) as [Error];
  expect(error.message).toContain('403');

  const good = new WebSocket(`ws://127.0.0.1:${port}/`, { origin: 'https://good.test' });
  await once(good, 'open');
  good.send('hello');
  const [said] = (await once(good, 'message')) as [Buffer];
  expect(said.toString()).toBe('you said hello');
  good.close(1000);
  await once(good, 'close');
  await program.until(/connected, 1 now\n.*disconnected, \d+ bytes up, \d+ bytes down/);
});

test('response-modification: JSON becomes YAML, of another length; what isn’t JSON stays', async () => {
  const json = JSON.stringify({ name: 'proxy', ports: [80, 443] });
  const ORIGIN = await origin((incoming, outgoing) => {
    if (incoming.url === '/text') outgoing.setHeader('Content-Type', 'text/plain');
    else outgoing.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': json.length });
    outgoing.end(json);
  });
  const { port } = await start('response-modification', { ORIGIN });
  const ask = async (path: string) => {
    const [answer] = (await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')) as [
      IncomingMessage,
    ];
    let body = '';
    for await (const piece of answer) body += piece;
    return [answer.headers['content-type'], body];
  };
  expect(await ask('/')).toEqual(['application/yaml', 'name: proxy\nports:\n  - 80\n  - 443\n']);
  expect(await ask('/text')).toEqual(['text/plain', json]);
});

const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
};
const talk: ServiceDefinition = {
  say: { path: '/test.Talk/Say', requestStream: false, responseStream: false, ...text },
  chat: { path: '/test.Talk/Chat', requestStream: true, responseStream: true, ...text },
};

interface Talk {
  say(
    said: string,
    metadata: Metadata,
    done: (error: ServiceError | null, answer: string | undefined) => void,
  ): ClientUnaryCall;
  chat(): ClientDuplexStream<string, string>;
  close(): void;
}

/** A gRPC server over TLS, the proxy of the example before it, and a client of the proxy. */
async function talking(): Promise<{ client: Talk; requests: { host: string; kind: unknown }[] }> {
  const dir = mkdtempSync(join(tmpdir(), 'grpc-test-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const { cert, key } = await selfSigned(['localhost']);
  writeFileSync(join(dir, 'ca.pem'), cert);
  const requests: { host: string; kind: unknown }[] = [];
  const server = new Server();
  server.addService(talk, {
    say(call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) {
      requests.push({ host: call.getHost(), kind: call.metadata.get('kind')[0] });
      if (call.request === 'nonsense') {
        const metadata = new Metadata();
        metadata.set('reason', 'no sense');
        done({ code: status.INVALID_ARGUMENT, details: 'what?', metadata });
      } else done(null, `you said ${call.request}`);
    },
    chat(call: ServerDuplexStream<string, string>) {
      call.on('data', (said: string) => call.write(`you said ${said}`));
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    const tls = ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }]);
    server.bindAsync('127.0.0.1:0', tls, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  onTestFinished(() => server.forceShutdown());
  const proxy = await start('grpc', { ORIGIN: `127.0.0.1:${port}`, CA: join(dir, 'ca.pem') });
  const Client = makeGenericClientConstructor(talk, 'Talk');
  const trust = credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  // an address is no name to ask for, and Node 26 refuses to
  const named = { 'grpc.ssl_target_name_override': 'localhost' };
  const client = new Client(`127.0.0.1:${proxy.port}`, trust, named) as unknown as Talk;
  onTestFinished(() => client.close());
  return { client, requests };
}

test('grpc: a call is answered, and its metadata and its status get through', async () => {
  const { client, requests } = await talking();
  const metadata = new Metadata();
  metadata.set('kind', 'greeting');
  const said = await new Promise((resolve, reject) => {
    client.say('hello', metadata, (error, answer) => (error === null ? resolve(answer) : reject(error)));
  });
  expect(said).toBe('you said hello');
  expect(requests[0]).toMatchObject({ kind: 'greeting' });

  const failed = await new Promise<ServiceError | null>((resolve) => {
    client.say('nonsense', metadata, (error) => resolve(error));
  });
  expect(failed).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'what?' });
  expect(failed!.metadata.get('reason')).toEqual(['no sense']);
});

test('grpc: messages go both ways while the call goes on', async () => {
  const { client } = await talking();
  const call = client.chat();
  // each is sent only when the one before was answered: nothing may wait for the stream's end
  for (const said of ['one', 'two', 'x'.repeat(200_000)]) {
    call.write(said);
    const [answer] = (await once(call, 'data')) as [string];
    expect(answer).toBe(`you said ${said}`);
  }
  const ended = once(call, 'status') as Promise<[{ code: number }]>;
  call.end();
  expect((await ended)[0].code).toBe(status.OK);
});
