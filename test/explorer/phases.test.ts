import { describe, expect, test } from 'vitest';
import { Phases } from '../../explorer/phases.ts';
import { Steps } from '../../explorer/steps.ts';
import { type Made, makeTrace } from '../tracing/made.ts';

const request = (...hooks: Made[]): Made[] => [
  { fn: '<app as ProxyHttp>::new_ctx', file: 'app' },
  { fn: 'HttpProxy::process_request', calls: hooks },
];

function chart(calls: Made[]) {
  const steps = new Steps(makeTrace(calls));
  const phases = new Phases(steps);
  const at = (fn: string, n = 1, end = false) => {
    const span = steps.callsOf(fn)[n - 1]!;
    const { request, hooks, phase } = phases.at(end ? steps.endOf(span)! : steps.beginOf(span));
    const states = Object.fromEntries(hooks.map(({ name, state }) => [name, state]));
    return { request, phase, hooks, states };
  };
  return { steps, phases, at };
}

describe('the chart of phases', () => {
  const two = () =>
    chart([
      { fn: 'Server::new' },
      {
        fn: 'conn',
        calls: [
          ...request(
            { fn: '<app as ProxyHttp>::request_filter', file: 'app', calls: [{ fn: 'inside' }] },
            { fn: 'between' },
            { fn: 'ProxyHttp::logging' },
          ),
          ...request({ fn: 'ProxyHttp::request_filter' }, { fn: '<app as ProxyHttp>::fail_to_connect', file: 'app' }),
        ],
      },
    ]);

  test('lights the hook that the call is in', () => {
    expect(two().at('inside').states).toMatchObject({ new_ctx: 'done', request_filter: 'now', logging: 'ahead' });
  });

  test('marks the latest hook between two', () => {
    expect(two().at('between').states).toMatchObject({ new_ctx: 'done', request_filter: 'last', logging: 'ahead' });
  });

  test('says what the request never met', () => {
    expect(two().at('between').states).toMatchObject({ upstream_peer: 'absent', fail_to_connect: 'absent' });
  });

  test('is that of the current request', () => {
    const { at } = two();
    expect(at('ProxyHttp::logging').request).toEqual({ number: 1, of: 2 });
    const second = at('<app as ProxyHttp>::fail_to_connect');
    expect(second.request).toEqual({ number: 2, of: 2 });
    expect(second.states).toMatchObject({ request_filter: 'done', fail_to_connect: 'now', logging: 'absent' });
  });

  test('counts new_ctx to the request that follows it', () => {
    const { at } = two();
    expect(at('<app as ProxyHttp>::new_ctx', 2)).toMatchObject({ request: { number: 2 }, states: { new_ctx: 'now' } });
  });

  test('lights nothing outside of requests', () => {
    const { at } = two();
    expect(at('Server::new')).toMatchObject({ phase: 'startup', request: null });
    expect(Object.values(at('Server::new').states)).not.toContain('now');
  });

  test('knows what the application overrides', () => {
    const { hooks } = two().at('inside');
    const own = hooks.filter(({ isOwn }) => isOwn).map(({ name }) => name);
    expect(own).toEqual(['new_ctx', 'request_filter', 'fail_to_connect']);
  });

  test('has the calls of a hook in this request only', () => {
    const { steps, at } = two();
    const filter = at('inside').hooks.find(({ name }) => name === 'request_filter')!;
    expect(filter.calls).toEqual(steps.callsOf('<app as ProxyHttp>::request_filter'));
  });
});

test('hooks of another trait have their own place', () => {
  const { phases } = chart([{ fn: '<app as ServeHttp>::response', file: 'app' }]);
  expect(phases.kinds).toEqual([{ name: 'ServeHttp::response', kind: 'other' }]);
});

test('a trace without hooks has none in its chart', () => {
  expect(chart([{ fn: 'Server::new' }]).phases.kinds).toEqual([]);
});

test('phases begin at their first call', () => {
  const { phases } = chart([
    { fn: 'a' },
    { fn: 'b', span: { phase: 'request' } },
    { fn: 'c', span: { phase: 'request' } },
  ]);
  expect(phases.first.get('request')).toEqual({ span: 1, count: 2 });
  expect(phases.first.has('shutdown')).toBe(false);
});
