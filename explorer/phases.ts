/** The phase chart: startup, request, shutdown, and within a request the hooks of ProxyHttp in their order. */
import type { Steps } from './steps.ts';

export const PHASES = ['startup', 'request', 'shutdown'] as const;

/** The hooks in the order in which a request meets them; those of failures at the end. */
const ORDER = [
  'new_ctx',
  'request_filter',
  'request_cache_filter',
  'proxy_upstream_filter',
  'upstream_peer',
  'connected_to_upstream',
  'upstream_request_filter',
  'upstream_response_filter',
  'upstream_response_body_filter',
  'response_filter',
  'response_body_filter',
  'response_trailer_filter',
  'logging',
];
const FAILURES = ['fail_to_connect', 'error_while_proxy', 'should_serve_stale', 'fail_to_proxy'];

const HOOK = /^(?:<app as (\w+)>|(ProxyHttp))::(\w+)$/;

export interface HookKind {
  name: string;
  /** `failure`: it is called only when something went wrong. `other`: a hook of another trait than ProxyHttp. */
  kind: 'usual' | 'failure' | 'other';
}

export interface HookState extends HookKind {
  /** `now`: the step is inside it; `last`: it is the latest; `done`, `ahead`, and `absent`: not in this request. */
  state: 'now' | 'last' | 'done' | 'ahead' | 'absent';
  /** The application overrides it. */
  isOwn: boolean;
  /** Its calls in this request. */
  calls: number[];
}

export interface Chart {
  phase: (typeof PHASES)[number];
  /** Which request, from 1, of how many; null between requests. */
  request: { number: number; of: number } | null;
  hooks: HookState[];
}

interface Hook {
  span: number;
  name: string;
  isOwn: boolean;
}

export class Phases {
  readonly #steps: Steps;
  /** The phase's first span, and how many it has. */
  readonly first: ReadonlyMap<string, { span: number; count: number }>;
  readonly kinds: readonly HookKind[];
  readonly #requests: number[];
  /** The request of each span; -1 outside. */
  readonly #requestOf: Int32Array;
  readonly #hooks: Hook[] = [];

  constructor(steps: Steps) {
    this.#steps = steps;
    const first = new Map<string, { span: number; count: number }>();
    const others = new Set<string>();
    this.#requests = [];
    this.#requestOf = new Int32Array(steps.spans.length).fill(-1);
    steps.spans.forEach(({ fn, phase }, span) => {
      const known = first.get(phase);
      if (known) known.count++;
      else first.set(phase, { span, count: 1 });
      const parent = steps.parentOf(span);
      if (parent !== null) this.#requestOf[span] = this.#requestOf[parent]!;
      if (fn === 'HttpProxy::process_request') {
        this.#requestOf[span] = this.#requests.length;
        this.#requests.push(span);
      }
      const [, trait, isDefault, name] = HOOK.exec(fn) ?? [];
      if (name === undefined) return;
      const ofProxy = isDefault !== undefined || trait === 'ProxyHttp';
      const shown = ofProxy ? name : `${trait}::${name}`;
      if (!ORDER.includes(shown) && !FAILURES.includes(shown)) others.add(shown);
      this.#hooks.push({ span, name: shown, isOwn: trait !== undefined });
    });
    this.first = first;
    const proxies = this.#requests.length > 0 || this.#hooks.some(({ name }) => !name.includes('::'));
    this.kinds = [
      ...(proxies ? ORDER.map((name): HookKind => ({ name, kind: 'usual' })) : []),
      ...(proxies ? FAILURES.map((name): HookKind => ({ name, kind: 'failure' })) : []),
      ...[...others].map((name): HookKind => ({ name, kind: 'other' })),
    ];
  }

  /** The chart at a step. Between two requests it shows the hooks of all of them, none lit. */
  at(step: number): Chart {
    const steps = this.#steps;
    const span = steps.spanAt(step);
    // `new_ctx` comes before `process_request`, in the same caller: it counts for the request that follows.
    const request = this.#requestOf[span]! >= 0 ? this.#requestOf[span]! : this.#requestAfter(span);
    const path = new Set(steps.pathTo(span));
    const ofThis = this.#hooks.filter((hook) => request < 0 || this.#belongsTo(hook.span) === request);
    const begun = request < 0 ? [] : ofThis.filter((hook) => steps.beginOf(hook.span) <= step);
    const inside = begun.findLast((hook) => path.has(hook.span));
    const last = begun.at(-1);
    const hooks = this.kinds.map(({ name, kind }): HookState => {
      const calls = ofThis.filter((hook) => hook.name === name);
      const known = calls.length > 0 ? calls : this.#hooks.filter((hook) => hook.name === name);
      const isOwn = known.some((hook) => hook.isOwn);
      let state: HookState['state'] = 'absent';
      if (inside?.name === name) state = 'now';
      else if (last?.name === name && !inside) state = 'last';
      else if (begun.some((hook) => hook.name === name)) state = 'done';
      else if (calls.length > 0) state = 'ahead';
      return { name, kind, state, isOwn, calls: calls.map((hook) => hook.span) };
    });
    return {
      phase: steps.spans[span]!.phase,
      request: request < 0 ? null : { number: request + 1, of: this.#requests.length },
      hooks,
    };
  }

  #belongsTo(span: number): number {
    const request = this.#requestOf[span]!;
    return request >= 0 ? request : this.#requestAfter(span);
  }

  /** The request for which a hook outside of `process_request` is called: the next one of the same caller. */
  #requestAfter(span: number): number {
    if (!HOOK.test(this.#steps.spans[span]!.fn)) return -1;
    const parent = this.#steps.parentOf(span);
    if (parent === null) return -1;
    const next = this.#steps.childrenOf(parent).find((child) => child > span && this.#requestOf[child]! >= 0);
    return next === undefined ? -1 : this.#requestOf[next]!;
  }
}
