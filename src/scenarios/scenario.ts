/** What a scenario is made of. */
import type { ServerConf } from '../server/configuration/mod.ts';
import type { Answer, Client } from './client.ts';
import { BODY, type Origin, type OriginKind } from './origin.ts';
import type { SetupName } from './setups/mod.ts';

/** What the application of a scenario does beside proxying. */
export interface AppOptions {
  /** The first try of each request goes to a port where nothing listens. */
  retry?: boolean;
  /** `request_filter` answers 403 to paths that begin with `/deny`. */
  deny?: boolean;
  /** The origin is spoken to over TLS. */
  tlsUpstream?: boolean;
  /** The origin is spoken to over HTTP/2. */
  h2Upstream?: boolean;
  /** With `h2Upstream`: or over HTTP/1.1, if the origin wants that. */
  h1Too?: boolean;
  /** Responses are compressed for clients that accept it. */
  compress?: boolean;
  /** Each read from the origin may take so many milliseconds. */
  readTimeout?: number;
  /** Another application, that overrides every hook. */
  phases?: boolean;
  /** `request_filter` computes, for paths that begin with `/busy`, until the client says that it is enough. */
  busy?: boolean;
  /** The application is one whose `logging` waits, for paths that begin with `/slow`, until the client is satisfied. */
  slowLogging?: boolean;
}

/** What a scenario's client can do beside asking. */
interface Stage {
  origin: Origin;
  /** Wait until a function has ended so many times since the server was started. */
  ended(fn: string, times: number): Promise<void>;
  /** Wait until a function has ended so many times more. */
  more(fn: string, times: number): Promise<void>;
}

/** How a scenario ends. */
interface Ending {
  signal: 'SIGINT' | 'SIGTERM' | 'SIGQUIT';
  /** Settings of the server that differ from the defaults. */
  conf?: Partial<ServerConf>;
  /** Before the signal, wait until this function has ended so many times. */
  after?: { fn: string; ended: number };
}

export interface Scenario {
  name: string;
  about: string;
  /** What the proxy service listens on, in the order in which the listeners are added. `h2`: TLS that offers h2. */
  listeners: readonly ('tcp' | 'tls' | 'h2' | 'uds')[];
  /** What happens, for the reader. */
  does: readonly string[];
  /** Default: HTTP/1.1. */
  origin?: OriginKind;
  app?: AppOptions;
  /** A server of its own, from `setups/`, instead of the application of `app.ts`. */
  setup?: SetupName;
  /** With `setup`: it checks its backends; the client waits for the first round. */
  checked?: boolean;
  /** A proxy that understands CONNECT listens on `connect.sock` in the scenario's folder. */
  connectProxy?: boolean;
  /** How many threads services have. Default: 1. */
  threads?: number;
  /** Whether idle ones take what waits. Default: true. */
  workStealing?: boolean;
  /** A service beside the proxy's. */
  beside?: 'health-check' | 'echo' | 'prometheus';
  /** The server goes to the background. */
  daemon?: boolean;
  /** Another process hands the listening socket over to the server, which is started with `--upgrade`. */
  takesOver?: boolean;
  /** What the client does, to its last byte; throws if an answer is wrong. */
  client(client: Client, stage: Stage): Promise<void>;
  /** Default: SIGINT, the quick end. */
  ends?: Ending;
  /** Why it can't be run yet. */
  unavailable?: string;
}

/** Throws unless the answer is as it should be; `body`: of an answer with status 200, null for any. */
export function answered(got: Answer, status: number, body: string | null = BODY): void {
  if (got.status !== status) throw new Error(`the answer has status ${got.status}, not ${status}`);
  if (status === 200 && body !== null && got.body !== body) {
    throw new Error(`the answer's body is ${JSON.stringify(got.body)}, not ${JSON.stringify(body)}`);
  }
}
