/** A trace of version 2, made by hand: a request that is read, sent on, and answered. */
import type { TraceDocument } from '../../src/tracing/model.ts';
import { declaredSites } from '../../src/tracing/sites.ts';
import { makeTrace } from '../tracing/made.ts';

const RUST = 'pingora-core/src/protocols/http/v1/server.rs';

export function exchange(scenario = 'exchange'): TraceDocument {
  const request = { phase: 'request' as const };
  const place = (fn: string) => {
    const { rust, file, line } = declaredSites().find((site) => site.fn === fn)!;
    return { rust: { file: rust!, line: 1 }, ts: { file, line } };
  };
  const trace = makeTrace(
    [
      {
        fn: 'Server::run_forever',
        span: { end: null },
        calls: [
          {
            fn: 'Service::handle_event',
            task: 'connection',
            span: request,
            calls: [
              {
                fn: 'HttpProxy::process_request',
                span: { ...request, ...place('HttpProxy::process_request'), out: { answered: 'HTTP/1.1 200 OK' } },
                calls: [
                  {
                    fn: 'HttpSession::read_request',
                    file: RUST,
                    span: {
                      ...request,
                      ...place('HttpSession::read_request'),
                      out: { request: 'GET / HTTP/1.1', fields: ['host: a'] },
                    },
                  },
                  {
                    fn: 'TransportConnector::get_stream',
                    span: {
                      ...request,
                      status: 'error',
                      error: {
                        type: 'ConnectRefused',
                        source: 'Upstream',
                        cause: { type: 'ECONNREFUSED', message: 'refused' },
                      },
                    },
                  },
                  {
                    fn: 'HttpSession::write_request_header',
                    span: {
                      ...request,
                      changed: [
                        { what: 'via', from: null, to: '1.1 me' },
                        { what: 'connection', from: 'close', to: null },
                      ],
                    },
                  },
                  { fn: 'HttpSession::write_response_header', span: request },
                ],
              },
            ],
          },
        ],
      },
    ],
    scenario,
  );
  const id = (fn: string) => trace.spans.find((span) => span.fn === fn)!.id;
  const during = (fn: string) => trace.spans.find((span) => span.fn === fn)!.start + 2;
  const on = (fn: string) => ({ time: during(fn), span: id(fn) });
  return {
    ...trace,
    version: 2,
    connections: [
      { id: 1, side: 'downstream', peer: '127.0.0.1:1' },
      { id: 2, side: 'upstream', peer: '127.0.0.1:2' },
    ],
    events: [
      {
        ...on('Service::handle_event'),
        time: during('Service::handle_event') - 2,
        kind: 'wake',
        task: 2,
        by: 'bytes on connection 1',
      },
      {
        ...on('HttpSession::read_request'),
        kind: 'bytes',
        connection: 1,
        way: 'in',
        offset: 0,
        length: 18,
        bytes: 'GET / HTTP/1.1\r\n\r\n',
      },
      {
        ...on('HttpSession::write_request_header'),
        kind: 'bytes',
        connection: 2,
        way: 'out',
        offset: 0,
        length: 20,
        bytes: '\0<script>alert(1)    ',
      },
      {
        ...on('HttpSession::write_response_header'),
        kind: 'channel',
        channel: 'response',
        what: 'send',
        depth: 1,
        capacity: 4,
      },
      { ...on('HttpSession::write_response_header'), kind: 'state', machine: 'response', from: null, to: 'Done' },
      {
        ...on('HttpSession::write_response_header'),
        kind: 'bytes',
        connection: 1,
        way: 'out',
        offset: 0,
        length: 19,
        bytes: 'HTTP/1.1 200 OK\r\n\r\n',
      },
      {
        ...on('HttpSession::write_response_header'),
        kind: 'pool',
        pool: 'upstream',
        what: 'put',
        key: 'k',
        connection: 2,
        size: 1,
      },
    ],
  };
}
