/**
 * Behaviours that no test once saw the loss of, each with the change that takes it away. A test sees to it that the list
 * follows `src`.
 */
import type { Change } from './changes.ts';
import { CONNECTIONS } from './listed/connections.ts';
import type { Listed } from './listed/entry.ts';
import { EXCHANGES } from './listed/exchanges.ts';
import { MESSAGES } from './listed/messages.ts';

export const LISTED: readonly Listed[] = [...EXCHANGES, ...MESSAGES, ...CONNECTIONS];

/** Take the behaviour out of `source`, which is the text of the file. Throws if the place isn't there, or not once. */
export function without({ name, file, text, instead }: Listed, source: string): Change {
  const at = source.indexOf(text);
  if (at < 0 || source.includes(text, at + 1)) {
    const found = at < 0 ? 'is not' : 'is more than once';
    throw new Error(`"${name}": the text to be changed ${found} in ${file}; mend the entry in scripts/mutate/listed/`);
  }
  const line = source.slice(0, at).split('\n').length;
  const changed = source.slice(0, at) + instead + source.slice(at + text.length);
  return { file, line, what: `without: ${name}`, changed };
}
