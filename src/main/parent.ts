/** The end of whoever started the program. */

/** So often it is looked whether npm is still there, in milliseconds. */
const LOOK_MS = 500;

/**
 * Of a server that npm started: when npm goes, end as at SIGTERM. npm passes SIGTERM and SIGINT on; of a SIGHUP, a
 * SIGQUIT or a SIGKILL it dies and leaves the server behind, which nobody would think to look for.
 */
export function endWithNpm(env: NodeJS.ProcessEnv = process.env): void {
  if (env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const look = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(look);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_MS);
  look.unref();
}
