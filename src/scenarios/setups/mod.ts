/** Servers of scenarios that don't run the application of `app.ts`: each has its own here, one file a server. */
import type { Setup } from './setup.ts';

/** Loaded in the server's process only. */
const SETUPS = {
  bare: () => import('./bare.ts'),
  brotli: () => import('./brotli.ts'),
  'client-certificate': () => import('./client-certificate.ts'),
  'connect-proxy': () => import('./connect-proxy.ts'),
  consistent: () => import('./consistent.ts'),
  continue: () => import('./continue.ts'),
  discovery: () => import('./discovery.ts'),
  eviction: () => import('./eviction.ts'),
  'give-up': () => import('./give-up.ts'),
  'h2-health-check': () => import('./h2-health-check.ts'),
  hash: () => import('./hash.ts'),
  'http-client': () => import('./http-client.ts'),
  'http-health-check': () => import('./http-health-check.ts'),
  'idle-timeout': () => import('./idle-timeout.ts'),
  listeners: () => import('./listeners.ts'),
  modules: () => import('./modules.ts'),
  purge: () => import('./purge.ts'),
  random: () => import('./random.ts'),
  ring: () => import('./ring.ts'),
  subrequest: () => import('./subrequest.ts'),
  'tls-health-check': () => import('./tls-health-check.ts'),
  'uds-upstream': () => import('./uds-upstream.ts'),
} satisfies Record<string, () => Promise<{ setup: Setup }>>;

export type SetupName = keyof typeof SETUPS;

/** The file of a setup, which has the application's hooks. */
export function setupFile(name: SetupName): string {
  return `src/scenarios/setups/${name}.ts`;
}

export async function setupOf(name: SetupName): Promise<Setup> {
  return (await SETUPS[name]()).setup;
}
