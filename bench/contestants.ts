/** The proxies that are measured, and how each is started. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { generate } from 'selfsigned';
import { type Contestant, nodeContestant } from './processes.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Files of a certificate for localhost. */
export interface Tls {
  /** Where they are: `keys/cert.pem` and `keys/key.pem` below it. */
  readonly folder: string;
  readonly cert: string;
  readonly key: string;
}

/** Make a certificate below `folder`. */
export async function makeTls(folder: string): Promise<Tls> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 });
  mkdirSync(join(folder, 'keys'), { recursive: true });
  const [cert, key] = [join(folder, 'keys/cert.pem'), join(folder, 'keys/key.pem')];
  writeFileSync(cert, made.cert);
  writeFileSync(key, made.private);
  return { folder, cert, key };
}

/** Functions stay as they are. */
const untraced: Plugin = {
  name: 'untraced',
  setup(bundle) {
    bundle.onResolve({ filter: /\/span\.ts$/ }, () => ({ path: join(root, 'bench/untraced.ts') }));
  },
};

/** The port as one file, its dependencies beside it. */
async function bundle(name: string, plugins: Plugin[]): Promise<string> {
  // inside node_modules, so that the dependencies are found and no tool looks at it
  const directory = join(root, 'node_modules/.cache/bench');
  mkdirSync(directory, { recursive: true });
  const outfile = join(directory, `${name}.mjs`);
  await build({
    entryPoints: [join(root, 'src/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
    plugins,
  });
  return outfile;
}

/** The port, from its sources unless it is built. */
export function port(tls?: Tls, name = 'pingora-traced', file = join(root, 'src/main.ts')): Contestant {
  return nodeContestant(name, (listen, origin) => {
    const address = `127.0.0.1:${listen}`;
    const listener = tls === undefined ? ['--listen', address] : ['--tls-listen', address, '--h2'];
    if (tls !== undefined) listener.push('--cert', tls.cert, '--key', tls.key);
    return [file, ...listener, '--upstream', `127.0.0.1:${origin}`, '--max-requests', '0', '--log-level', 'error'];
  });
}

/** The port as one bundled file. */
export const bundled = async (): Promise<Contestant> =>
  port(undefined, 'pingora-traced, bundled', await bundle('main', []));

/** The port, tracing off, and before it a build of it in which nothing can be traced. */
export async function withoutTracing(): Promise<Contestant[]> {
  return [
    port(undefined, 'untraceable build', await bundle('untraced', [untraced])),
    port(undefined, 'pingora-traced, tracing off', await bundle('main', [])),
  ];
}

const other = (name: string, file: string, more: readonly string[] = []): Contestant =>
  nodeContestant(name, (listen, origin) => [
    join(root, 'bench/proxies', file),
    String(listen),
    String(origin),
    ...more,
  ]);

/** The port with tracing off, beside requests that are traced, and recording more and more of each. */
export const tracedInSteps = (): Contestant[] => [
  other('tracing off', 'traced.ts', ['off']),
  other('beside a request that is traced', 'traced.ts', ['others']),
  other('calls', 'traced.ts', ['spans']),
  other('calls and values', 'traced.ts', ['values']),
  other('calls, values and bytes', 'traced.ts', ['bytes']),
];

/** fast-proxy. */
export const fastProxy = (): Contestant => other('fast-proxy (undici)', 'fast-proxy.ts');

/** Hands bytes on and reads none of them: nothing in Node costs less. */
export const relay = (tls?: Tls): Contestant =>
  other('relay of bytes', 'relay.ts', tls === undefined ? [] : [tls.cert, tls.key]);

/** http-proxy. */
export const httpProxy = (): Contestant => other('http-proxy', 'http-proxy.ts');

/** A proxy of `node:http2` and undici; `originH2`: to an origin of HTTP/2. */
export const http2Undici = ({ cert, key }: Tls, originH2 = false): Contestant =>
  other('node:http2 + undici', 'http2-undici.ts', [cert, key, ...(originH2 ? ['h2'] : [])]);

/** The port, to an origin of HTTP/2: the program has no option for that. */
export const portToH2 = ({ cert, key }: Tls): Contestant => other('pingora-traced', 'to-h2.ts', [cert, key]);

/** Where Pingora's program listens with TLS. */
const PINGORA_TLS_PORT = 6443;

/**
 * A program of Pingora 0.1.0's, where `PINGORA_BIN` names one: it listens on `LISTEN`, with `PROBE=h2` on port 6443 with
 * TLS and HTTP/2 and the certificate in `keys/cert.pem` and `keys/key.pem`, proxies to `ORIGIN`, and has `THREADS` threads.
 */
export function pingora(tls?: Tls): Contestant | undefined {
  const command = process.env.PINGORA_BIN;
  if (command === undefined || command === '') return undefined;
  return {
    name: 'Pingora 0.1.0',
    ...(tls !== undefined && { port: PINGORA_TLS_PORT }),
    program: (listen, origin) => ({
      command,
      args: [],
      ...(tls !== undefined && { cwd: tls.folder }),
      env: {
        PROBE: tls === undefined ? 'tcp' : 'h2',
        THREADS: '1',
        LISTEN: `127.0.0.1:${listen}`,
        ORIGIN: `127.0.0.1:${origin}`,
      },
      talks: false,
    }),
  };
}

/** nginx, where it is installed. */
export function nginx(folder: string, tls?: Tls): Contestant | undefined {
  const command = ['nginx', '/usr/sbin/nginx'].find((name) => spawnSync(name, ['-v']).error === undefined);
  if (command === undefined) return undefined;
  return {
    name: 'nginx',
    program: (listen, origin) => {
      const certificate = tls && `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};`;
      const file = join(folder, `nginx-${listen}.conf`);
      writeFileSync(
        file,
        `daemon off; master_process off; error_log stderr crit; pid ${folder}/nginx-${listen}.pid;
events { worker_connections 65535; }
http {
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  upstream origin { server 127.0.0.1:${origin}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${listen} backlog=65535${tls ? ' ssl http2' : ''}; ${certificate ?? ''}
    location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`,
      );
      return { command, args: ['-c', file, '-p', folder], talks: false };
    },
  };
}
