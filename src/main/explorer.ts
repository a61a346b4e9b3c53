/** The pages of the trace explorer. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The explorer's folder: the package's own, else the site's if it was made, else one made now, gone with the process. */
export async function explorer(): Promise<string> {
  const built = fileURLToPath(new URL('../explorer', import.meta.url));
  for (const made of [built, resolve('site/explorer')]) if (existsSync(join(made, 'explorer.html'))) return made;
  // the tools of a checkout are no part of the package: they are neither compiled nor packed with it
  const builder: string = '../../scripts/explorer.ts';
  const { buildExplorer } = (await import(builder)) as { buildExplorer(options: { out: string }): Promise<unknown> };
  const folder = mkdtempSync(join(tmpdir(), 'pingora-traced-explorer-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await buildExplorer({ out: folder });
  return folder;
}
