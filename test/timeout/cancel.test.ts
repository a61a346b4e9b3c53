import { describe, expect, it } from 'vitest';
import { Cancelled } from '../../src/runtime/cancelled.ts';
import { Cancellation, withDeadline } from '../../src/timeout/cancel.ts';
import { Elapsed } from '../../src/timeout/lib.ts';

/** Never ends by itself; rejects when it is taken back. */
function endless(within: Cancellation | undefined): Promise<never> {
  return new Promise((_resolve, reject) => within?.onCancel(() => reject(new Cancelled())));
}

describe('withDeadline', () => {
  it('gives what the operation gives', async () => {
    await expect(withDeadline(60_000, undefined, async () => 1)).resolves.toBe(1);
    await expect(withDeadline(60_000, undefined, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });

  it('is a plain call without a limit', async () => {
    const parent = new Cancellation();
    await withDeadline(undefined, parent, async (within) => expect(within).toBe(parent));
  });

  it('takes the operation back when the time is up', async () => {
    let cancellation: Cancellation | undefined;
    const limited = withDeadline(1, undefined, (within) => {
      cancellation = within;
      return endless(within);
    });
    await expect(limited).rejects.toBeInstanceOf(Elapsed);
    expect(cancellation?.cancelled).toBe(true);
  });

  it('takes the operation back when the caller is taken back', async () => {
    const parent = new Cancellation();
    const limited = withDeadline(60_000, parent, endless);
    parent.cancel();
    await expect(limited).rejects.toBeInstanceOf(Cancelled);
  });

  it('says which of two deadlines it was', async () => {
    const outer = withDeadline(1, undefined, (within) => withDeadline(60_000, within, endless));
    await expect(outer).rejects.toBeInstanceOf(Elapsed);
    const inner = withDeadline(60_000, undefined, (within) =>
      withDeadline(1, within, endless).catch((error: unknown) => {
        expect(error).toBeInstanceOf(Elapsed);
        return 'inner';
      }),
    );
    await expect(inner).resolves.toBe('inner');
  });
});

describe('Cancellation', () => {
  it('calls back once, those who come late at once, those who left never', () => {
    const cancellation = new Cancellation();
    const called: string[] = [];
    cancellation.onCancel(() => called.push('early'));
    cancellation.onCancel(() => called.push('left'))();
    cancellation.cancel();
    cancellation.cancel();
    cancellation.onCancel(() => called.push('late'));
    expect(called).toEqual(['early', 'late']);
  });
});
