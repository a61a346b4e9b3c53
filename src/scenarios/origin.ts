/** The origins that scenarios proxy to: always the same 67 bytes, but for paths of {@link SPECIAL}. */
import { once } from 'node:events';
import { createServer as createHttp, type RequestListener } from 'node:http';
import {
  constants,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import type { Certificate } from './certificate.ts';
import { serveGrpc, serveWebSocket } from './protocols.ts';

/**
 * What stands behind the proxy: an origin over HTTP/1.1, on a port or a Unix socket; over TLS, with a certificate of
 * its own or one of the client's too; over HTTP/2; one that offers HTTP/2 and then wants HTTP/1.1; or a port where
 * nothing listens.
 */
export type OriginKind = 'h1' | 'uds' | 'tls-h1' | 'tls-mutual' | 'tls-h2' | 'tls-h2-refused' | 'closed';

/** What an origin answers. */
export const BODY = `${'The origin answers this, whatever it is asked, in sixty-seven byte'}s`
  .padEnd(67, '.')
  .slice(0, 67);

export interface Origin {
  port: number;
  close(): Promise<void>;
  /** End its connections, and go on to listen. */
  hangUp(): void;
  /** Wait until all its connections are closed. */
  left(): Promise<void>;
  /** Stop listening, and close its connections. */
  stop(): Promise<void>;
  /** Listen again, where it did. */
  start(): Promise<void>;
}

const HEAD = { 'content-type': 'text/plain', 'content-length': String(BODY.length) };

/** What can be done to a server; nothing of it is left once `close` resolves. */
function handles(server: Server): Omit<Origin, 'port'> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  let port = 0;
  server.once('listening', () => {
    port = (server.address() as AddressInfo).port ?? 0;
  });
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return {
    close: stop,
    left: async () => {
      for (const socket of sockets) await once(socket, 'close');
    },
    hangUp: () => {
      for (const socket of sockets) socket.end();
    },
    stop,
    start: async () => {
      await listen(server, port);
    },
  };
}

/** `at`: a port, 0 for any, or the path of a Unix socket, which has the port 0. */
function listen(server: Server, at: number | string = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    if (typeof at === 'string') server.listen(at, () => resolve(0));
    else server.listen(at, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** Connections on which an origin has answered. */
const answeredOn = new WeakSet<Socket>();

/** What an HTTP/1 origin does with some paths instead of answering as usual. */
const SPECIAL: Record<string, RequestListener> = {
  /** No answer at all. */
  '/silence': () => {},
  /** The head and a chunk of ten bytes, and no more. */
  '/part': (_request, response) => {
    response.sendDate = false;
    response.removeHeader('connection');
    response.writeHead(200, { 'content-type': 'text/plain' }).write(BODY.slice(0, 10));
  },
  /** A head that announces the usual answer, ten bytes of it, and the end of the connection. */
  '/broken': (_request, { socket }) => {
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${BODY.length}\r\n\r\n`;
    socket!.end(`${head}${BODY.slice(0, 10)}`);
  },
  /** On a connection that answered before: its end instead of an answer, once the request is whole. */
  '/again': (request, response) => {
    request.resume().on('end', () => {
      if (answeredOn.has(request.socket)) request.socket.destroy();
      else response.writeHead(200, HEAD).end(BODY);
    });
  },
  /** In brotli. */
  '/br': (_request, response) => {
    const body = brotliCompressSync(BODY);
    response.sendDate = false;
    response.removeHeader('connection');
    response.writeHead(200, { ...HEAD, 'content-encoding': 'br', 'content-length': body.length }).end(body);
  },
  /** In one chunk, with trailers. */
  '/trailers': (request, response) => {
    request.resume().on('end', () => {
      response.sendDate = false;
      response.removeHeader('connection');
      response.writeHead(200, { 'content-type': 'text/plain', trailer: 'X-Sum' });
      response.addTrailers({ 'X-Sum': '67' });
      response.end(BODY);
    });
  },
};

/** Head and body leave in one write once the whole request is there. */
const answer: RequestListener = (request, response) => {
  const path = request.url ?? '';
  if (Object.hasOwn(SPECIAL, path)) {
    SPECIAL[path]!(request, response);
    return;
  }
  request.resume().on('end', () => {
    response.sendDate = false;
    response.removeHeader('connection');
    response.writeHead(200, HEAD).end(BODY);
    answeredOn.add(request.socket);
  });
};

/** HEADERS, then one DATA frame that ends the stream. Node's compatible API would end it with another, empty one. */
function answerH2(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.on('error', () => {});
  if (headers['content-type'] === 'application/grpc') {
    serveGrpc(stream);
    return;
  }
  stream.resume().on('end', () => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, ...HEAD }, { sendDate: false } as ServerStreamResponseOptions);
    stream.end(BODY);
  });
}

/** A stream of HTTP/2 is taken back with HTTP_1_1_REQUIRED (RFC 9113 7); a request of HTTP/1.1 is answered. */
function answerOnlyH1(request: Http2ServerRequest, response: Http2ServerResponse): void {
  if (request.httpVersionMajor === 2) {
    request.stream.on('error', () => {});
    request.stream.close(constants.NGHTTP2_HTTP_1_1_REQUIRED);
  } else answer(request as never, response as never);
}

/**
 * A port where nothing listens, and nothing else will as long as this is open: it is the local port of a connection.
 */
export async function closedPort(): Promise<Origin> {
  const server = createServer();
  const handle = handles(server);
  const port = await listen(server);
  const socket = connect(port, '127.0.0.1');
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return {
    ...handle,
    port: socket.localPort!,
    close: () => {
      socket.destroy();
      return handle.close();
    },
  };
}

/** `dir`: the folder of the Unix socket, `origin.sock`. */
export async function startOrigin(kind: OriginKind, certificate: Certificate | null, dir = ''): Promise<Origin> {
  if (kind === 'closed') return closedPort();
  const tls = { key: certificate?.key, cert: certificate?.cert };
  let server: Server;
  if (kind === 'h1' || kind === 'uds') {
    const http = createHttp(answer).on('upgrade', serveWebSocket);
    http.keepAliveTimeout = 0;
    server = http;
  } else if (kind === 'tls-h1' || kind === 'tls-mutual') {
    // the certificate is its own issuer, and good for both sides
    const mutual = { requestCert: true, rejectUnauthorized: true, ca: certificate?.cert };
    const https = createHttps(kind === 'tls-mutual' ? { ...tls, ...mutual } : tls, answer);
    https.keepAliveTimeout = 0;
    server = https;
  } else {
    const refuses = kind === 'tls-h2-refused';
    const http2 = createSecureServer({ ...tls, allowHTTP1: refuses });
    if (refuses) http2.on('request', answerOnlyH1);
    else http2.on('stream', answerH2);
    http2.on('sessionError', () => {});
    server = http2;
  }
  const handle = handles(server);
  return { ...handle, port: await listen(server, kind === 'uds' ? join(dir, 'origin.sock') : 0) };
}

/** A proxy on a Unix socket that connects its client (`CONNECT host:port`) to whatever it asks for. */
export async function startConnectProxy(path: string): Promise<Origin> {
  const server = createHttp();
  server.on('connect', ({ url }, socket: Socket) => {
    const [host, port] = url!.split(':');
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [socket, onward]) end.on('error', () => end.destroy());
  });
  const handle = handles(server);
  return { ...handle, port: await listen(server, path) };
}
