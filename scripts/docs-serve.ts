/** Serves the site: `npm run docs:serve [-- --port N]`. For reading on this machine only. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import sirv from 'sirv';

const port = (value: string): number => {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0 || number > 65535) throw new InvalidArgumentError('a port: 0 to 65535');
  return number;
};

new Command('docs:serve')
  .description('Serve the site on this machine.')
  .option('--port <number>', 'where; 0: any free one', port, 8090)
  .option('--dir <folder>', 'the site', 'site')
  .action(({ port: wanted, dir }: { port: number; dir: string }) => {
    const root = resolve(dir);
    if (!existsSync(join(root, 'index.html'))) {
      console.error(`${root}: no site there; make it with npm run docs`);
      process.exit(1);
    }
    const serve = sirv(root, { dev: true, single: false });
    const server = createServer((request, response) => {
      serve(request, response, () => {
        response.writeHead(404, { 'content-type': 'text/plain' }).end('no such page\n');
      });
    });
    server.on('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use; choose another one with --port' : error.message;
      console.error(`port ${wanted}: ${reason}`);
      process.exit(1);
    });
    server.listen(wanted, '127.0.0.1', () => {
      console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    });
  })
  .parse();
