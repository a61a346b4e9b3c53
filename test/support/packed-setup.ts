/** Where the tests may make the package, once a run: nothing is made here, and all of it is removed at the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'pingora-traced-packed-'));
  project.provide('packed', folder);
  return () => rmSync(folder, { recursive: true, force: true });
}
