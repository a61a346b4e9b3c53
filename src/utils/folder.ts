/** Folders that are made if they aren't there. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Make `path` and the folders above it that are missing. Throws what the file system does. Not `recursive` of Node's: it
 * tries for ever where a folder can't be made in one that is there and the system says ENOENT, as /proc does.
 */
export function makeFolder(path: string): void {
  if (isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // another process, or thread, was faster
    if (!isFolder(path)) throw error;
  }
}

/** Whether there is a folder there; no, too, where that can't be seen. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
