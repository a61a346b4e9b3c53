/** How much of the machine others use while something is measured; Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * In clock ticks: what all cores have worked, here or for other guests of their host, and what the bench and its
 * descendants have.
 */
interface Worked {
  readonly all: number;
  readonly own: number;
}

function worked(): Worked | undefined {
  let line: string;
  try {
    line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!;
  } catch {
    return undefined;
  }
  const [user, nice, system, , , irq, softirq, steal = 0] = line.split(/\s+/).slice(1).map(Number) as number[];
  const parents = new Map<number, number>();
  const ticks = new Map<number, number>();
  for (const pid of readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
      parents.set(pid, Number(fields[1]));
      ticks.set(pid, Number(fields[11]) + Number(fields[12]));
    } catch {
      // it has just ended
    }
  }
  let own = 0;
  for (const [pid, used] of ticks) {
    for (let at: number | undefined = pid; at !== undefined && at !== 0; at = parents.get(at)) {
      if (at !== process.pid) continue;
      own += used;
      break;
    }
  }
  return { all: user! + nice! + system! + irq! + softirq! + steal, own };
}

/** Run `measure`, and say how many cores others used meanwhile; 0 where that isn't known. */
export async function besides<T>(measure: () => Promise<T>): Promise<{ result: T; others: number }> {
  const [before, from] = [worked(), performance.now()];
  const result = await measure();
  const [after, to] = [worked(), performance.now()];
  if (before === undefined || after === undefined) return { result, others: 0 };
  const ticks = after.all - before.all - (after.own - before.own);
  return { result, others: Math.max(0, ticks / 100 / ((to - from) / 1000)) };
}
