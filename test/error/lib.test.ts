import { describe, expect, it } from 'vitest';
import { ErrorType, orErr, PingoraError } from '../../src/error/lib.ts';

describe('ErrorType', () => {
  it('is the same type by name and code, not by identity', () => {
    expect(ErrorType.HTTPStatus(404).is(ErrorType.HTTPStatus(404))).toBe(true);
    expect(ErrorType.HTTPStatus(404).is(ErrorType.HTTPStatus(500))).toBe(false);
    expect(ErrorType.new('Mine').is(ErrorType.new('Mine'))).toBe(true);
    expect(ErrorType.newCode('Mine', 1).is(ErrorType.new('Mine'))).toBe(false);
    expect(ErrorType.ReadError.is(ErrorType.WriteError)).toBe(false);
  });

  it('prints its name', () => {
    expect(`${ErrorType.ConnectTimedout}`).toBe('ConnectTimedout');
    expect(ErrorType.newCode('Mine', 7).code).toBe(7);
  });

  it('names each of its constants as the constant is named', () => {
    for (const [key, value] of Object.entries(ErrorType)) expect((value as ErrorType).name).toBe(key);
  });
});

describe('making errors', () => {
  it.each([
    ['new', PingoraError.new(ErrorType.ReadError), 'Unset', ''],
    ['newUp', PingoraError.newUp(ErrorType.ReadError), 'Upstream', 'Upstream'],
    ['newDown', PingoraError.newDown(ErrorType.ReadError), 'Downstream', 'Downstream'],
    ['newIn', PingoraError.newIn(ErrorType.ReadError), 'Internal', 'Internal'],
  ] as const)('%s sets the side', (_name, error, source, text) => {
    expect(error.esource()).toBe(source);
    expect(error.sourceStr()).toBe(text);
    expect(error.reasonStr()).toBe('ReadError');
    expect(error.retry()).toBe(false);
    expect(error).toBeInstanceOf(Error);
  });

  it('keeps what was thrown as the cause, whatever it was', () => {
    const cause = new Error('ECONNRESET');
    expect(PingoraError.because(ErrorType.ReadError, 'reading', cause).cause).toBe(cause);
    expect(PingoraError.because(ErrorType.ReadError, 'reading', 'a string').cause?.message).toBe('a string');
    expect(PingoraError.explain(ErrorType.ReadError, 'why').cause).toBeUndefined();
    const late = PingoraError.newStr('Odd');
    late.setCause(cause);
    late.setContext('later');
    expect(late.toString()).toBe(' Odd context: later cause: ECONNRESET');
  });

  it('takes a Pingora error as it is and anything else as an internal one', () => {
    const error = PingoraError.newUp(ErrorType.ReadError);
    expect(PingoraError.from(error)).toBe(error);
    const other = PingoraError.from(new TypeError('x is not a function'));
    expect([other.etype().name, other.esource(), other.cause?.message]).toEqual([
      'UnknownError',
      'Internal',
      'x is not a function',
    ]);
    expect(PingoraError.from(undefined).etype().name).toBe('UnknownError');
  });

  it('changes its side', () => {
    const error = PingoraError.new(ErrorType.ReadError);
    expect(error.intoUp().esource()).toBe('Upstream');
    expect(error.intoDown().esource()).toBe('Downstream');
    expect(error.intoIn()).toBe(error);
    expect(error.esource()).toBe('Internal');
  });
});

describe('retry', () => {
  it('throws while it is undecided', () => {
    const error = PingoraError.newUp(ErrorType.ReadError);
    error.retryType = 'ReusedOnly';
    expect(() => error.retry()).toThrow('Retry is not decided');
  });

  it.each([true, false])('is decided by whether the connection was reused: %s', (reused) => {
    const error = PingoraError.newUp(ErrorType.ReadError);
    error.retryType = 'ReusedOnly';
    error.decideReuse(reused);
    expect(error.retry()).toBe(reused);
  });

  it('leaves what is decided as it is', () => {
    const error = PingoraError.newUp(ErrorType.ReadError);
    error.setRetry(true);
    error.decideReuse(false);
    expect(error.retry()).toBe(true);
  });

  it('passes from a cause to its effect', () => {
    const cause = PingoraError.newUp(ErrorType.ConnectRefused);
    cause.setRetry(true);
    expect(PingoraError.because(ErrorType.ConnectError, 'all tried', cause).retry()).toBe(true);
    expect(cause.moreContext('more').retry()).toBe(true);
    expect(PingoraError.because(ErrorType.ConnectError, 'all tried', new Error('x')).retry()).toBe(false);
  });
});

describe('the chain', () => {
  it('says what effect and cause have in common once', () => {
    const root = PingoraError.because(ErrorType.ReadError, 'reading head', new Error('ECONNRESET')).intoUp();
    const more = root.moreContext('Peer: 127.0.0.1:80');
    expect(more.toString()).toBe(
      'Upstream ReadError context: Peer: 127.0.0.1:80 cause:  context: reading head cause: ECONNRESET',
    );
  });

  it('says side and type again where they change', () => {
    const root = PingoraError.explain(ErrorType.InvalidCert, 'expired').intoUp();
    const effect = PingoraError.because(ErrorType.TLSHandshakeFailure, 'with origin', root).intoIn();
    expect(effect.toString()).toBe(
      'Internal TLSHandshakeFailure context: with origin cause: Upstream InvalidCert context: expired',
    );
  });

  it('finds the first error and its type', () => {
    const node = new Error('ECONNRESET');
    const root = PingoraError.because(ErrorType.ReadError, 'reading', node);
    const effect = PingoraError.because(ErrorType.H1Error, 'in h1', root);
    const top = effect.moreContext('top');
    expect(top.rootEtype().name).toBe('ReadError');
    expect(top.rootCause()).toBe(node);
    expect(top.etype().name).toBe('H1Error');
    const alone = PingoraError.new(ErrorType.ReadError);
    expect(alone.rootCause()).toBe(alone);
  });
});

describe('orErr', () => {
  it('returns what the body returns', async () => {
    expect(orErr(ErrorType.FileReadError, 'x', () => 5)).toBe(5);
    expect(await orErr(ErrorType.FileReadError, 'x', () => Promise.resolve(6))).toBe(6);
  });

  it('gives what is thrown a type and a context, made only then', async () => {
    let made = 0;
    const context = () => {
      made++;
      return 'late';
    };
    orErr(ErrorType.FileReadError, context, () => 1);
    expect(made).toBe(0);
    const failing = () => {
      throw new Error('no');
    };
    expect(() => orErr(ErrorType.FileReadError, context, failing)).toThrow('late');
    await expect(orErr(ErrorType.FileReadError, 'soon', () => Promise.reject(new Error('no')))).rejects.toMatchObject({
      context: 'soon',
      cause: { message: 'no' },
    });
    expect(made).toBe(1);
  });
});
