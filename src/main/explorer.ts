/** The pages of the trace explorer. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** The explorer's folder: the site's if it was made, else one made now, gone with the process. */
export async function explorer(): Promise<string> {
  const made = resolve('site/explorer');
  if (existsSync(join(made, 'explorer.html'))) return made;
  const { buildExplorer } = await import('../../scripts/explorer.ts');
  const folder = mkdtempSync(join(tmpdir(), 'pingora-traced-explorer-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await buildExplorer({ out: folder });
  return folder;
}
