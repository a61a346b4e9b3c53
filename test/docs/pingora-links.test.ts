/** Which function or type of Pingora's a page of the API links to. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PingoraLinks } from '../../scripts/docs/pingora-links.ts';
import { declaredSites } from '../../src/tracing/sites.ts';

const links = new PingoraLinks(fileURLToPath(new URL('../..', import.meta.url)));
const at = (path: string, name: string) =>
  `[\`${name}\`](https://github.com/cloudflare/pingora/blob/0.1.0/${path}), ${path.replace(/#.*/, '')}`;

test('a function with a span links to the one that its span names, whatever its own name', () => {
  const { file, line } = declaredSites().find(({ fn }) => fn === '<Static as ServiceDiscovery>::discover')!;
  const found = links.function({ file, line, name: 'discover', of: 'Static' });
  expect(found).toBe(at('pingora-load-balancing/src/discovery.rs#L102', '<Static as ServiceDiscovery>::discover'));
});

test.each([
  ['src/error/lib.ts', 'PingoraError', 'moreContext', 'pingora-error/src/lib.rs#L415', 'Error::more_context'],
  ['src/error/lib.ts', 'PingoraError', 'toString', 'pingora-error/src/lib.rs#L465', '<Error as Display>::fmt'],
  [
    'src/load-balancing/discovery.ts',
    'ServiceDiscovery',
    'discover',
    'pingora-load-balancing/src/discovery.rs#L36',
    'ServiceDiscovery::discover',
  ],
])('%s: %s.%s links to its namesake', (file, of, name, path, fn) => {
  expect(links.function({ file, line: 0, name, of })).toBe(at(path, fn));
});

test.each([
  ['src/error/lib.ts', 'PingoraError', 'pingora-error/src/lib.rs#L33', 'Error'],
  ['src/protocols/tls/alpn.ts', 'ALPN', 'pingora-core/src/protocols/ssl/mod.rs#L182', 'ALPN'],
  ['src/services/mod.ts', 'AnyService', 'pingora-core/src/services/mod.rs#L33', 'Service'],
])('%s: the type %s links to its namesake', (file, name, path, type) => {
  expect(links.type({ file, line: 0, name })).toBe(at(path, type));
});

test('what only the port has links nowhere', () => {
  expect(links.type({ file: 'src/http/lib.ts', line: 0, name: 'HMap' })).toBeUndefined();
  expect(links.function({ file: 'src/error/lib.ts', line: 0, name: 'from', of: 'PingoraError' })).toBeUndefined();
  expect(links.function({ file: 'src/log.ts', line: 0, name: 'setLog' })).toBeUndefined();
});
