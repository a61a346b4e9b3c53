/**
 * Loaded before each proxy that is measured: tells the bench how much CPU time the process has used, by the process's
 * own accounting, and how much memory, and ends the process when the bench is gone.
 */
process.on('message', (message) => {
  if (message === 'cpu') process.send!(process.cpuUsage());
  else if (message === 'memory') memory();
});
process.on('disconnect', () => process.exit());

/** Twice: what is freed by the first collection may have held on to more. */
function memory(): void {
  globalThis.gc?.();
  setTimeout(() => {
    globalThis.gc?.();
    process.send!(process.memoryUsage());
  }, 200);
}
