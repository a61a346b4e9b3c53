/**
 * A web server for the pages that show traces: for people at this machine, not for the net, and not for the other pages
 * that are open in their browser.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { hostname } from 'node:os';
import { Log } from '../log.ts';

const log = new Log('pingora_traced::web');

/** A connection on which nothing has moved for so long, in milliseconds, is closed: its client doesn't read. */
const STILL_MS = 30_000;
/** So many clients at a time. */
const CONNECTIONS = 256;

/**
 * Other sites' pages may not read, load or frame these: a trace holds what clients sent.
 * https://www.w3.org/TR/post-spectre-webdev/
 */
const HEADERS = {
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
};

/** Answers a request. `path` is the target's path as it came, without its query. */
export type Handle = (path: string, request: IncomingMessage, response: ServerResponse) => void;

/**
 * A server that no input ends. It answers requests that name it by an IP address, as `localhost`, or as `host`: a page
 * of another site whose name was made to resolve to this machine (DNS rebinding) sends its own name.
 */
export function pageServer(host: string, handle: Handle): Server {
  const names = new Set(['localhost', host.toLowerCase(), hostname().toLowerCase()].filter((name) => name !== ''));
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    try {
      if (!isNamed(names, request.headers.host)) {
        refuse(response, 421, `not the name of this server: use http://localhost:${portOf(server)}/`);
      } else if (
        request.headers['sec-fetch-site'] === 'cross-site' &&
        request.headers['sec-fetch-mode'] !== 'navigate'
      ) {
        refuse(response, 403, 'not for the pages of other sites');
      } else if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD');
        refuse(response, 405, 'only to be read');
      } else handle(pathOf(request.url ?? '/'), request, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else refuse(response, 500, (error as Error).message);
    }
  });
  // no descriptors left, for instance: unheard it would end the process
  server.on('error', (error) => {
    if (server.listening) log.warn(() => `a client could not be let in: ${error.message}`);
  });
  server.maxConnections = CONNECTIONS;
  server.setTimeout(STILL_MS);
  return server;
}

/** Answer with `status` and one line. */
export function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${why}\n`);
}

/** A listening server's port. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}

/** Without a scheme and authority, query and fragment. `new URL` throws for `//`, and for others. */
function pathOf(target: string): string {
  const path = /^(?:https?:\/\/[^/?#]*)?([^?#]*)/i.exec(target)![1]!;
  return path === '' ? '/' : path;
}

function isNamed(names: ReadonlySet<string>, host: string | undefined): boolean {
  if (host === undefined) return false;
  const name = host.toLowerCase().replace(/:\d*$/, '');
  return names.has(name) || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}
