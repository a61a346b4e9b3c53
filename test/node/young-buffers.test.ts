import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const source = new URL('../../src/node/young-buffers.ts', import.meta.url).href;

/** How often V8 looks through its young objects while 8,192 times `piece` runs. */
async function collections(piece: string): Promise<number> {
  const program = `
    import { constants, PerformanceObserver } from 'node:perf_hooks';
    import { bytesPass } from ${JSON.stringify(source)};
    let minor = 0;
    const count = (entries) => {
      for (const { detail } of entries) if (detail.kind === constants.NODE_PERFORMANCE_GC_MINOR) minor++;
    };
    const observer = new PerformanceObserver((list) => count(list.getEntries()));
    observer.observe({ entryTypes: ['gc'] });
    for (let i = 0; i < 8192; i++) {
      ${piece}
      if (i % 16 === 0) await new Promise(setImmediate);
    }
    // entries are handed out in a turn of their own
    await new Promise(setImmediate);
    count(observer.takeRecords());
    console.log(minor);
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', program],
    { cwd: fileURLToPath(new URL('../..', import.meta.url)) },
  );
  return Number(stdout);
}

describe('bodies that pass', () => {
  it('are freed some dozen times for each 512 MiB, where V8 by itself would wait', async () => {
    const [told, untold, nothingOutside] = await Promise.all([
      collections('Buffer.allocUnsafeSlow(65536); bytesPass(65536);'),
      collections('Buffer.allocUnsafeSlow(65536);'),
      collections('bytesPass(65536);'),
    ]);
    expect(told).toBeGreaterThan(30);
    expect(untold).toBeLessThan(told / 2);
    // nothing is gained by looking
    expect(nothingOutside).toBeLessThan(told / 2);
  });
});
