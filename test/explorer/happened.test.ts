import { describe, expect, test } from 'vitest';
import { Happened } from '../../explorer/happened.ts';
import { Steps } from '../../explorer/steps.ts';
import { exchange } from './exchange.ts';

const steps = new Steps(exchange());
const happened = new Happened(steps);
const at = (fn: string, end = false) => {
  const [span] = steps.callsOf(fn);
  return end ? steps.endOf(span!)! : steps.beginOf(span!);
};

describe('what has happened at a step', () => {
  test('is in the wire what came before, and what the current call itself reads or writes', () => {
    const lengths = (step: number) => happened.wire(step, 10).events.map(({ length }) => length);
    expect(lengths(at('Server::run_forever'))).toEqual([]);
    expect(lengths(at('HttpSession::read_request'))).toEqual([18]);
    expect(lengths(at('HttpSession::write_request_header'))).toEqual([18, 20]);
    expect(lengths(steps.count - 1)).toEqual([18, 20, 19]);
    expect(happened.wire(steps.count - 1, 2)).toMatchObject({ earlier: 1, events: [{ length: 20 }, { length: 19 }] });
  });

  test('agrees with the document at each step', () => {
    const { events = [] } = steps.trace;
    for (let step = 0; step < steps.count; step++) {
      const now = steps.spans[steps.spanAt(step)]!.id;
      const wanted = events.filter(
        (event) => event.kind === 'bytes' && (event.time <= steps.time(step) || event.span === now),
      );
      expect(happened.wire(step, 1000).events).toEqual(wanted);
    }
  });

  test('is which tasks run, and in what the others wait', () => {
    const { tasks } = happened.state(at('HttpSession::write_request_header'));
    const fn = (span: number | null) => (span === null ? null : steps.spans[span]!.fn);
    expect(tasks.map(({ name, state, span }) => [name, state, fn(span)])).toEqual([
      ['main', 'waiting', 'Server::run_forever'],
      ['connection', 'running', 'HttpSession::write_request_header'],
    ]);
  });

  test('is how full channels and the pool are, and where state machines stand', () => {
    const state = happened.state(steps.count - 1);
    expect(state.channels).toMatchObject([{ name: 'response', depth: 1, capacity: 4, closed: false }]);
    expect(state.machines).toMatchObject([{ name: 'response', state: 'Done' }]);
    expect(state.pools).toMatchObject([{ size: 1, what: 'put', key: 'k' }]);
    expect(state.connections.map(({ id, read, wrote }) => [id, read, wrote])).toEqual([
      [1, 18, 19],
      [2, 0, 20],
    ]);
    expect(happened.state(0)).toMatchObject({ channels: [], machines: [], pools: [], connections: [] });
  });

  test('is why another task runs', () => {
    expect(happened.jump(at('Service::handle_event'))).toEqual({
      from: 'task 1 main',
      to: 'task 2 connection',
      by: 'woken by bytes on connection 1',
    });
    expect(happened.jump(at('HttpSession::read_request'))).toBeNull();
  });
});
