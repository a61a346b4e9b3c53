import { describe, expect, test } from 'vitest';
import { formatPlace, parsePlace, placeByName, stepOf } from '../../explorer/location.ts';
import { Steps } from '../../explorer/steps.ts';
import { makeTrace } from '../tracing/made.ts';

const steps = new Steps(
  makeTrace([{ fn: 'a', calls: [{ fn: '<app as ProxyHttp>::logging' }, { fn: 'b' }] }, { fn: 'b' }]),
);

describe('an address', () => {
  test('names a trace and a step', () => {
    expect(parsePlace('#trace=tls-h2&step=123')).toEqual({ trace: 'tls-h2', step: 123 });
  });

  test('names a call by its function', () => {
    expect(parsePlace('#trace=tls-h2&fn=HttpProxy::process_request&n=2')).toEqual({
      trace: 'tls-h2',
      fn: 'HttpProxy::process_request',
      n: 2,
    });
    expect(parsePlace('#fn=Server::new')).toEqual({ trace: null, fn: 'Server::new', n: 1 });
  });

  test('may be empty or make no sense', () => {
    for (const hash of ['', '#', '#nonsense', '#trace=', '#step=-1', '#step=1e3', '#step=99999999999', '#n=2']) {
      expect(parsePlace(hash)).toEqual({ trace: null });
    }
    expect(parsePlace('#trace=h1&fn=a&n=0')).toEqual({ trace: 'h1', fn: 'a', n: 1 });
  });

  test('is read as it was written', () => {
    for (const place of [
      { trace: null },
      { trace: 'tls-h2' },
      { trace: 'tls-h2', step: 7 },
      { trace: 'h1', tour: 3 },
      { trace: 'h1', tour: 3, step: 40 },
      { trace: 'h1', with: 'keepalive' },
      { trace: 'file:my trace & more (1).json', fn: '<app as ProxyHttp>::upstream_peer', n: 3 },
      { trace: 'a+b%20c#d', fn: 'x', n: 1 },
    ]) {
      expect(parsePlace(formatPlace(place))).toEqual(place);
    }
  });

  test('can stand in a Markdown link as it is', () => {
    const place = { trace: 'h1', fn: '<(A) as B>::c', n: 1 };
    expect(formatPlace(place)).toMatch(/^#[\w=&:%.-]+$/);
    expect(formatPlace({ trace: 'tls-h2', fn: 'HttpProxy::process_request', n: 1 })).toBe(
      '#trace=tls-h2&fn=HttpProxy::process_request&n=1',
    );
  });
});

describe('the step of an address', () => {
  test('is the number, kept inside the trace', () => {
    expect(stepOf({ trace: null, step: 3 }, steps)).toBe(2);
    expect(stepOf({ trace: null, step: 999 }, steps)).toBe(steps.count - 1);
    expect(stepOf({ trace: null }, steps)).toBe(0);
  });

  test('is the begin of the named call', () => {
    expect(stepOf({ trace: null, fn: 'b', n: 2 }, steps)).toBe(steps.beginOf(3));
  });

  test('that is not there is told', () => {
    expect(() => stepOf({ trace: null, fn: 'nowhere', n: 1 }, steps)).toThrow('no call of nowhere in made');
    expect(() => stepOf({ trace: null, fn: 'b', n: 3 }, steps)).toThrow('b is called 2 times in made');
    expect(() => stepOf({ trace: null, fn: 'a', n: 2 }, steps)).toThrow('a is called once in made');
  });

  test('is named by its function, and the end of a call by its number', () => {
    expect(placeByName('h1', steps.beginOf(3), steps)).toEqual({ trace: 'h1', fn: 'b', n: 2 });
    expect(placeByName('h1', steps.endOf(3)!, steps)).toEqual({ trace: 'h1', step: steps.count });
    for (let step = 0; step < steps.count; step++) expect(stepOf(placeByName(null, step, steps), steps)).toBe(step);
  });
});
