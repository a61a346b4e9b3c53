/**
 * Takes the place of `src/tracing/span.ts` in a build of the port in which nothing can be traced: what tracing off is
 * held against.
 */
import type * as span from '../src/tracing/span.ts';

const same = <F>(_name: string, body: F): F => body;

function method(nameOrBody: unknown): unknown {
  return typeof nameOrBody === 'string' ? (body: unknown) => body : nameOrBody;
}

export { PENDING } from '../src/runtime/poll.ts';
export const traced: typeof span.traced = () => {};
export const ported: typeof span.ported = (file) => ({
  file,
  method: method as span.Ported['method'],
  fn: same,
  body: same,
});
export const own: typeof span.own = { fn: same };
export const hooksOf: typeof span.hooksOf = () => (body) => body;
export const callHook: typeof span.callHook = (_trait, _name, app, hook, _isDefault, ...args) => hook.apply(app, args);
export const note: typeof span.note = () => {};
export const isTraced: typeof span.isTraced = () => false;
