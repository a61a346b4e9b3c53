/** What scenarios need of the protocols that run over HTTP: single WebSocket frames, and messages of gRPC. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream, ServerStreamResponseOptions } from 'node:http2';
import type { Duplex } from 'node:stream';

const TEXT = 1;
const CLOSE = 8;

/** A frame of up to 125 bytes (RFC 6455 5.2). A client has to mask its frames; any key will do here. */
function wsFrame(opcode: number, payload: Buffer, masked: boolean): Buffer {
  const head = [0x80 | opcode, payload.length | (masked ? 0x80 : 0)];
  if (!masked) return Buffer.concat([Buffer.from(head), payload]);
  const key = Buffer.from('mask');
  return Buffer.concat([Buffer.from(head), key, payload.map((byte, i) => byte ^ key[i % 4]!)]);
}

/** Call `got` for each frame that comes whole on `socket`, after `first`. */
function onFrames(socket: Duplex, first: Buffer, got: (opcode: number, payload: Buffer) => void): void {
  let waiting = Buffer.alloc(0);
  const take = (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 2) {
      const masked = (waiting[1]! & 0x80) !== 0;
      const length = waiting[1]! & 0x7f;
      const from = masked ? 6 : 2;
      if (waiting.length < from + length) return;
      const key = waiting.subarray(2, 6);
      const payload = Buffer.from(waiting.subarray(from, from + length));
      if (masked) for (let i = 0; i < length; i++) payload[i]! ^= key[i % 4]!;
      const opcode = waiting[0]! & 0x0f;
      waiting = waiting.subarray(from + length);
      got(opcode, payload);
    }
  };
  socket.on('data', take);
  if (first.length > 0) take(first);
}

/** The origin's end: agree to the upgrade, send each text back, close when asked to. */
export function serveWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.on('error', () => {});
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  onFrames(socket, head, (opcode, payload) => {
    const frame = wsFrame(opcode, payload, false);
    if (opcode === CLOSE) socket.end(frame);
    else socket.write(frame);
  });
}

/** The client's end: send `text`, wait for it to come back, close. Resolves with what came once all is over. */
export function talkWebSocket(socket: Duplex, head: Buffer, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let echoed = '';
    onFrames(socket, head, (opcode, payload) => {
      if (opcode === CLOSE) return;
      echoed = payload.toString();
      socket.write(wsFrame(CLOSE, Buffer.from([3, 232]), true)); // 1000: the normal end
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(echoed));
    socket.on('error', reject);
    socket.write(wsFrame(TEXT, Buffer.from(text), true));
  });
}

/** A message as gRPC frames it: not compressed, its length, itself. */
function grpcMessage(text: string): Buffer {
  const message = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The origin's end: each message goes back as it comes, and the status in trailers. */
export function serveGrpc(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, {
    waitForTrailers: true,
    sendDate: false,
  } as ServerStreamResponseOptions);
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.on('data', (piece: Buffer) => stream.write(piece));
  stream.on('end', () => stream.end());
}

/**
 * The client's end: each message is sent once the one before was answered. Resolves with the answers and the status.
 */
export function callGrpc(
  session: ClientHttp2Session,
  path: string,
  messages: readonly string[],
): Promise<{ answers: string[]; status: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    const call: ClientHttp2Stream = session.request(headers);
    const answers: string[] = [];
    let status: unknown;
    let waiting = Buffer.alloc(0);
    const next = () => {
      const message = messages[answers.length];
      if (message === undefined) call.end();
      else call.write(grpcMessage(message));
    };
    call.on('data', (piece: Buffer) => {
      waiting = Buffer.concat([waiting, piece]);
      while (waiting.length >= 5 && waiting.length >= 5 + waiting.readUInt32BE(1)) {
        const length = waiting.readUInt32BE(1);
        answers.push(waiting.toString('utf8', 5, 5 + length));
        waiting = waiting.subarray(5 + length);
        next();
      }
    });
    call.on('trailers', (trailers) => {
      status = trailers['grpc-status'];
    });
    call.on('close', () => resolve({ answers, status }));
    call.on('error', reject);
    next();
  });
}
