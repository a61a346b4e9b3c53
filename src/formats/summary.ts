/** What happened in a call, in a few words: for a row of a tree. */
import type { Facts, Failure, TraceSpan } from '../tracing/model.ts';

/** The cause at the bottom of a chain, which says most: `Connection refused (os error 111)`. */
function rootOf(failure: Failure): Failure {
  let at = failure;
  while (at.cause !== undefined) at = at.cause;
  return at;
}

/** `Upstream ConnectRefused: connect ECONNREFUSED 127.0.0.1:1` */
export function failureLine(failure: Failure): string {
  const { type, source, context } = failure;
  const root = rootOf(failure);
  // what was received comes first in some contexts, and what is wrong with it last
  const reason = (root.message ?? root.context ?? context)?.split(' cause: ').at(-1);
  const side = source === undefined || source === 'Unset' ? '' : `${source} `;
  return `${side}${type}${reason === undefined ? '' : `: ${reason}`}`;
}

const text = (value: Facts[string] | undefined): string | undefined =>
  value === undefined || value === null
    ? undefined
    : Array.isArray(value)
      ? value.join(', ')
      : typeof value === 'boolean'
        ? undefined
        : String(value);

/** Facts that say of themselves what they are. */
const PLAIN = ['request', 'response', 'task', 'tasks', 'decision', 'backend', 'address', 'path', 'service', 'name'];
/** Facts that need their name. */
const NAMED = ['status', 'body', 'alpn', 'keepalive', 'index', 'threads', 'connections waiting', 'action'];

function connected({ reused, version, connection, found }: Facts): string | undefined {
  if (found !== undefined) return text(found);
  if (connection === undefined || connection === null) return undefined;
  const how = reused === undefined ? '' : reused === true ? 'reused ' : 'new ';
  return `${how}${connection}${version === undefined ? '' : `, ${version}`}`;
}

/** Of an error as the log writes it: its side, its type, and what is said last, which is the cause of all. */
function shortened(log: string): string {
  const [, head, rest] = /^\s*(\S+(?: [A-Z]\S*)?)(?: (?:context|cause): (.*))?$/s.exec(log) ?? [];
  if (head === undefined || rest === undefined) return log.trim();
  return `${head}: ${rest
    .split(/(?:^| )(?:cause|context): /)
    .at(-1)!
    .trim()}`;
}

function factsLine(facts: Facts): string | undefined {
  const parts: string[] = [];
  const add = (part: string | undefined) => {
    if (part !== undefined && part !== '' && !parts.includes(part)) parts.push(part);
  };
  if (facts.retry === true) add('to be tried again');
  if (typeof facts.error === 'string') add(`✗ ${shortened(facts.error)}`);
  const fact = (name: string) => (Object.hasOwn(facts, name) ? facts[name] : undefined);
  for (const name of PLAIN) add(text(fact(name)));
  if (facts.response === undefined) add(text(facts.answered));
  add(text(facts.peer));
  add(connected(facts));
  for (const name of NAMED) {
    const value = text(fact(name));
    if (value !== undefined) add(`${name} ${value}`);
  }
  if (typeof facts['connection kept'] === 'string') {
    add(facts['connection kept'].startsWith('no') ? 'connection closed' : 'connection kept');
  }
  if (typeof facts.ready === 'boolean') add(facts.ready ? 'ready' : 'not ready');
  if (typeof facts.hit === 'boolean') add(facts.hit ? 'hit' : 'no hit');
  return parts.length === 0 ? undefined : parts.join(', ');
}

/** What is worth a row's rest: why it failed; else what came out, or went in, and what it changed. */
export function summaryOf(span: TraceSpan): string | undefined {
  if (span.error !== undefined) return failureLine(span.error);
  const out = span.out === undefined ? undefined : factsLine(span.out);
  const main = out ?? (span.in === undefined ? undefined : factsLine(span.in));
  // a date is made new with each second: it says nothing of this call
  const changes = span.changed?.filter(({ what }) => what.toLowerCase() !== 'date');
  const changed = changes?.map(({ what, from, to }) => `${from === null ? '+' : to === null ? '−' : '±'}${what}`);
  const parts = [main, changed?.join(' ')].filter((part) => part !== undefined && part !== '');
  return parts.length === 0 ? undefined : parts.join('  ');
}
