/** http-proxy with an agent that keeps connections. Arguments: port to listen on, port of the origin. */
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';

const [listen, origin] = process.argv.slice(2).map(Number);
const agent = new Agent({ keepAlive: true, maxSockets: 128 });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${origin}`, agent });
proxy.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
createServer((request, response) => proxy.web(request, response)).listen(listen, '127.0.0.1');
