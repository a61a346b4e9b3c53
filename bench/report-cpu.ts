/**
 * Loaded before each proxy that is measured: tells the bench how much CPU time the process has used, by the process's
 * own accounting, and ends the process when the bench is gone.
 */
process.on('message', (message) => {
  if (message !== 'cpu') return;
  process.send!(process.cpuUsage());
});
process.on('disconnect', () => process.exit());
