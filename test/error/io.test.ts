import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { display } from '../../src/error/io.ts';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';

/** `strerror` of the C library, where it can be called. */
function libc(): ((number: number) => string) | undefined {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    return koffi.load('libc.so.6').func('char *strerror(int)') as unknown as (number: number) => string;
  } catch {
    return undefined;
  }
}

describe('an error of the system', () => {
  it('says what Rust says of it', async () => {
    const error = await new Promise<Error>((resolve) => connect(1, '127.0.0.1').once('error', resolve));
    expect(error.message).toBe('connect ECONNREFUSED 127.0.0.1:1');
    const number = constants.errno.ECONNREFUSED;
    expect(display(error)).toBe(`Connection refused (os error ${number})`);
    expect(PingoraError.because(ErrorType.ConnectRefused, 'Fail to connect', error).toString()).toBe(
      ` ConnectRefused context: Fail to connect cause: Connection refused (os error ${number})`,
    );
  });

  it('that only Node makes says what Node says', () => {
    expect(display(Object.assign(new Error('getaddrinfo ENOTFOUND a.test'), { code: 'ENOTFOUND', errno: -3008 }))).toBe(
      'getaddrinfo ENOTFOUND a.test',
    );
    // made here, without the system
    expect(display(Object.assign(new Error('the connection is closed'), { code: 'EPIPE' }))).toBe(
      'the connection is closed',
    );
  });

  const strerror = libc();

  it.skipIf(strerror === undefined)('has the words of the C library', () => {
    const codes = [
      'EACCES',
      'EADDRINUSE',
      'EADDRNOTAVAIL',
      'ECONNRESET',
      'EHOSTUNREACH',
      'EMFILE',
      'EPIPE',
      'ETIMEDOUT',
    ] as const;
    for (const code of codes) {
      const number = constants.errno[code];
      const error = Object.assign(new Error(code), { code, errno: -number });
      expect(display(error)).toBe(`${strerror!(number)} (os error ${number})`);
    }
  });
});
