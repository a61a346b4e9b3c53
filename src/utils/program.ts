/** Whether a module is what Node was started with. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Whether the module at `url`, its `import.meta.url`, is the program that runs, rather than imported by it. */
export function isProgram(url: string): boolean {
  const [, entry] = process.argv;
  if (entry === undefined) return false;
  try {
    return realpathSync(entry) === realpathSync(fileURLToPath(url));
  } catch {
    // the program was removed, or comes from elsewhere than a file
    return false;
  }
}
