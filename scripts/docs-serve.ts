/** Serves the site: `npm run docs:serve [-- --port N]`. For reading on this machine only. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import sirv from 'sirv';
import { pageServer, portOf, refuse } from '../src/live/web.ts';

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
    const server = pageServer('127.0.0.1', (_path, request, response) => {
      serve(request, response, () => refuse(response, 404, 'no such page'));
    });
    server.on('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use; choose another one with --port' : error.message;
      console.error(`port ${wanted}: ${reason}`);
      process.exit(1);
    });
    server.listen(wanted, '127.0.0.1', () => {
      console.log(`http://127.0.0.1:${portOf(server)}/`);
    });
  })
  .parse();
