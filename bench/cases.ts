/** What is measured: kinds of load, each as the load generator is told it. */

/** One kind of load. */
export interface Case {
  /** As `--case` names it. */
  readonly name: string;
  /** As the table says it. */
  readonly about: string;
  readonly connections: number;
  /** HTTP/2 with so many streams a connection; 0: HTTP/1.1. */
  readonly streams: number;
  /** Over TLS. HTTP/2 always is. */
  readonly tls: boolean;
  /** Each request on a connection of its own, which the client asks to be closed. */
  readonly fresh: boolean;
  /** Bytes of the answer's body. */
  readonly answer: number;
  /** Bytes of the request's body; 0: a GET without one. */
  readonly body: number;
  /** Fields of the request beyond the usual three. */
  readonly fields: number;
  /** The origin speaks HTTP/2, over TLS. */
  readonly originH2: boolean;
  /** The port is measured beside itself too, with this other kind of load. */
  readonly beside?: string;
}

const SMALL = 64;
const KB = 1024;
const MB = 1024 * KB;

const base: Omit<Case, 'name' | 'about'> = {
  connections: 32,
  streams: 0,
  tls: false,
  fresh: false,
  answer: SMALL,
  body: 0,
  fields: 0,
  originH2: false,
};

const alone = { connections: 1, streams: 1 };

const keepalive = (connections: number): Case => ({
  ...base,
  name: `h1-${connections}`,
  about: `${connections.toLocaleString('en')} connection${connections === 1 ? '' : 's'}`,
  connections,
});

/** In the order of the table. */
export const cases: readonly Case[] = [
  ...[1, 32, 128, 256, 512, 1000, 4000, 10_000].map(keepalive),
  { ...base, name: 'new', about: 'a new connection each request', fresh: true },
  { ...base, name: 'get-64k', about: '64 KiB answered', answer: 64 * KB },
  { ...base, name: 'get-1m', about: '1 MiB answered', answer: MB },
  { ...base, name: 'post-64k', about: '64 KiB sent', body: 64 * KB },
  { ...base, name: 'post-1m', about: '1 MiB sent', body: MB },
  { ...base, name: 'fields', about: '40 fields more', fields: 40 },
  { ...base, name: 'tls', about: 'over TLS', tls: true },
  { ...base, name: 'h2', about: 'HTTP/2, 4 connections of 16 streams', tls: true, connections: 4, streams: 16 },
  {
    ...base,
    name: 'h2-1000',
    about: 'HTTP/2, 1,000 connections of 10 streams',
    tls: true,
    connections: 1000,
    streams: 10,
    beside: 'h2',
  },
  {
    ...base,
    name: 'h2-h2',
    about: 'HTTP/2 on both sides, 4 connections of 16 streams',
    tls: true,
    connections: 4,
    streams: 16,
    originH2: true,
  },
  { ...base, name: 'h2-get-100m', about: 'HTTP/2, 100 MiB answered', tls: true, ...alone, answer: 100 * MB },
  { ...base, name: 'h2-post-100m', about: 'HTTP/2, 100 MiB sent', tls: true, ...alone, body: 100 * MB },
];
