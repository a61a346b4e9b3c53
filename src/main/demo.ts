/** `--upstream demo`: an origin that is built in, to try the proxy with. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { shared } from '../runtime/worker.ts';

/** What stands for its address on the command line. */
export const DEMO = 'demo';

/** How long `/slow` takes, in milliseconds. */
const SLOW_MS = 1000;

/** The request as it came here, so that one sees what the proxy made of it. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const { method, url = '/', rawHeaders } = request;
  const status = Number(/^\/status\/([2-5]\d\d)(?:[/?]|$)/.exec(url)?.[1] ?? 200);
  const fields = rawHeaders.flatMap((text, i) => (i % 2 === 0 ? [`${text}: ${rawHeaders[i + 1]}`] : []));
  const text = [
    `pingora-traced's demo origin got: ${method} ${url}`,
    ...fields,
    '',
    'try also /slow, /status/503',
    '',
  ].join('\n');
  const end = () => response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
  request.resume();
  if (/^\/slow(?:[/?]|$)/.test(url)) setTimeout(end, SLOW_MS);
  else end();
}

/** Start it; it ends with the process. With threads there is one for all of them. Returns its address. */
export function demoOrigin(): Promise<string> {
  return shared('demo origin', async () => {
    const server = createServer(answer);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    // whether the process goes on is the proxy's business
    server.unref();
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
}
