/**
 * What is made once a run and removed at its end: the project's programs as JavaScript, for the tests start them some
 * hundred times and a loader of sources takes as long as the rest of a start each time; and where the tests may make
 * the package.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { buildPrograms } from '../../scripts/build.ts';
import { projectRoot } from '../../src/tracing/sites.ts';

const PROGRAMS = [
  'src/main.ts',
  'src/cli/main.ts',
  'src/scenarios/cli.ts',
  'src/scenarios/server.ts',
  'test/scenarios/deeds-server.ts',
  'test/robustness/large-bodies-server.ts',
  'test/robustness/server.ts',
  'test/server/program.ts',
  'test/server/threads-program.ts',
];

export default async function setup(project: TestProject): Promise<() => void> {
  const packed = mkdtempSync(join(tmpdir(), 'pingora-traced-packed-'));
  project.provide('packed', packed);
  // beside `dist`, so that it finds packages, and readable for tests that run a program as somebody else
  const built = mkdtempSync(join(projectRoot, '.built-'));
  chmodSync(built, 0o755);
  await buildPrograms(built, PROGRAMS);
  project.provide('built', built);
  return () => {
    for (const folder of [packed, built]) rmSync(folder, { recursive: true, force: true });
  };
}
