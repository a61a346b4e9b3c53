/** fast-proxy with undici, as its documentation sets it up. Arguments: port to listen on, port of the origin. */
import { createServer } from 'node:http';
import fastProxy from 'fast-proxy';

const [listen, origin] = process.argv.slice(2).map(Number);
const { proxy } = fastProxy({
  base: `http://127.0.0.1:${origin}`,
  undici: { connections: 128, pipelining: 1 },
});
createServer((request, response) => proxy(request, response, request.url!, {})).listen(listen, '127.0.0.1');
