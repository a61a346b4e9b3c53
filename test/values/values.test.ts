import { describe, expect, test } from 'vitest';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import { RequestHeader, ResponseHeader } from '../../src/http/lib.ts';
import { HttpTask } from '../../src/protocols/http/mod.ts';
import { exportTrace } from '../../src/tracing/export.ts';
import type { TraceSpan } from '../../src/tracing/model.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import { rustFunctions } from '../../src/tracing/sites.ts';
import { callHook, ported } from '../../src/tracing/span.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { type ValueOptions, values } from '../../src/values/mod.ts';
import { table } from '../../src/values/table.ts';

const rust = ported('pingora-proxy/src/proxy_trait.rs');

/** What a trace of `run` says of the first call. */
function traced(run: () => unknown, options?: ValueOptions): TraceSpan {
  const recorder = new Recorder({ values: values(options) }).attach();
  try {
    recorder.root('main', run);
  } catch {
    // the span has it
  } finally {
    recorder.detach();
  }
  return exportTrace(recorder, 'made').spans[0]!;
}

const hook = (name: string, body: (...args: any[]) => unknown, ...args: unknown[]) =>
  callHook('ProxyHttp', name, {}, body, false, ...args);

describe('a call in a trace', () => {
  test('of a filter shows the head that went in, and each field that it added, changed or removed', () => {
    const request = RequestHeader.build('GET', '/a?b');
    request.insertHeader('Host', 'x');
    request.insertHeader('Accept', 'text/html');
    const span = traced(() =>
      hook(
        'upstream_request_filter',
        (_session, head: RequestHeader) => {
          head.insertHeader('Via', '1.1 me');
          head.insertHeader('Host', 'y');
          head.removeHeader('accept');
        },
        {},
        request,
        {},
      ),
    );
    expect(span.in).toEqual({ request: 'GET /a?b HTTP/1.1', fields: ['Host: x', 'Accept: text/html'] });
    expect(span.changed).toEqual([
      { what: 'Host', from: 'x', to: 'y' },
      { what: 'Accept', from: 'text/html', to: null },
      { what: 'Via', from: null, to: '1.1 me' },
    ]);
  });

  test('leaves secrets out, unless they are asked for', () => {
    const response = ResponseHeader.build(200);
    response.insertHeader('Set-Cookie', 'session=1');
    const run = () => hook('response_filter', () => {}, {}, response, {});
    expect(traced(run).in!.fields).toEqual(['Set-Cookie: (left out)']);
    expect(traced(run, { secrets: true }).in!.fields).toEqual(['Set-Cookie: session=1']);
  });

  test('that chose a peer shows it, with what decides whether connections can be shared', () => {
    const span = traced(() =>
      hook(
        'upstream_peer',
        () => {
          const peer = HttpPeer.new('127.0.0.1:80', true, 'example.com');
          peer.options.connectionTimeout = 1500;
          return peer;
        },
        {},
      ),
    );
    expect(span.out).toMatchObject({
      peer: '127.0.0.1:80',
      tls: true,
      sni: 'example.com',
      alpn: 'H1',
      'connection timeout': '1.5 s',
    });
    expect(span.out!['pool key']).toContain('127.0.0.1:80');
  });

  test('that failed shows Pingora’s error and its causes, as the log writes it', () => {
    const system = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED', errno: -111 });
    const error = PingoraError.because(ErrorType.ConnectRefused, 'Fail to connect', system).intoUp();
    error.setRetry(true);
    const span = traced(() =>
      hook(
        'upstream_peer',
        () => {
          throw error;
        },
        {},
      ),
    );
    expect(span.status).toBe('error');
    expect(span.error).toEqual({
      type: 'ConnectRefused',
      source: 'Upstream',
      context: 'Fail to connect',
      retry: true,
      cause: { type: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' },
      log: String(error),
    });
  });

  test('whose values can’t be shown runs as it would, and shows none', () => {
    const span = traced(() => hook('upstream_peer', () => 'a peer', null));
    expect(span).toMatchObject({ status: 'ok', fn: '<app as ProxyHttp>::upstream_peer' });
    expect(span.in).toBeUndefined();
  });

  test('shows nothing of what is called to show it', () => {
    const inner = rust.fn('ProxyHttp::request_summary', () => 'GET / HTTP/1.1');
    const session = {
      reqHeader: () => {
        inner();
        return RequestHeader.build('GET', '/');
      },
    };
    const recorder = new Recorder({ values: values() }).attach();
    recorder.root('main', () => hook('request_filter', () => false, session, {}));
    recorder.detach();
    const { spans } = exportTrace(recorder, 'made');
    expect(spans.map(({ fn, in: given, out }) => [fn, given, out])).toEqual([
      ['<app as ProxyHttp>::request_filter', { request: 'GET / HTTP/1.1' }, { decision: 'go on' }],
    ]);
  });

  test('shows a piece of a response by what it is', () => {
    const filter = rust.fn('HttpProxy::upstream_filter', (_session: unknown, _task: HttpTask) => {});
    expect(traced(() => filter({}, HttpTask.Body(Buffer.alloc(3), true))).in).toEqual({
      task: 'Body: 3 bytes, the last',
    });
    const header = HttpTask.Header(ResponseHeader.build(404), false);
    expect(traced(() => filter({}, header)).in).toEqual({ task: 'Header: HTTP/1.1 404 Not Found' });
  });
});

test('every function of the table is one of Pingora’s, or a hook', () => {
  const known = new Set([...rustFunctions().keys()].map((key) => key.split('#')[1]));
  const unknown = Object.keys(table).filter((fn) => !known.has(fn) && !fn.startsWith('<app as '));
  expect(unknown).toEqual([]);
});
