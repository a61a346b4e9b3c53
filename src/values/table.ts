/**
 * What is worth showing of each function: what goes in, what comes out, and which heads it may change. By Pingora's
 * names; where two functions share one, what their values are decides.
 */
import type { EventLog } from '../tracing/events.ts';
import type { Facts } from '../tracing/model.ts';
import {
  connection,
  facts,
  fields,
  isRequest,
  isResponse,
  keepalive,
  milliseconds,
  requestLine,
  size,
  statusLine,
  task,
} from './show.ts';

/** A call: `self` and `args` as they are now, the result once there is one. */
export interface Call {
  // they are of whatever class the function has; what isn't there is not shown
  readonly self: any;
  readonly args: readonly any[];
  readonly result: any;
  readonly log: EventLog | null;
  readonly secrets: boolean;
}

export interface Row {
  in?: (call: Call) => Facts | undefined;
  out?: (call: Call) => Facts | undefined;
  /** The heads whose changes during the call are shown. */
  changes?: (call: Call) => unknown[];
}

// --- what several functions show ---

/** The request of a session, the application's or the client's. */
function request(session: any): Facts {
  const of = session?.downstreamSession ?? session;
  const head = of?.reqHeader?.();
  return isRequest(head) ? { request: requestLine(head) } : {};
}

const answered = (session: any): Facts => {
  const of = session?.downstreamSession ?? session;
  const head = of?.responseWritten?.();
  return isResponse(head) ? { answered: statusLine(head) } : { answered: null };
};

const requestWhole = (head: unknown, secrets: boolean): Facts =>
  isRequest(head) ? { request: requestLine(head), fields: fields(head, secrets) } : {};

const responseWhole = (head: unknown, secrets: boolean): Facts =>
  isResponse(head) ? { response: statusLine(head), fields: fields(head, secrets) } : {};

const peerName = (peer: any): string => String(peer?.address?.() ?? peer);

function peerFacts(peer: any): Facts {
  if (peer?.address === undefined) return {};
  const options = peer.getPeerOptions?.() ?? {};
  return facts({
    peer: peerName(peer),
    tls: peer.tls?.(),
    sni: peer.sni?.() || undefined,
    alpn: options.alpn === undefined ? undefined : String(options.alpn),
    'pool key': peer.reuseHash === undefined ? undefined : String(peer.reuseHash()),
    'connection timeout': milliseconds(options.connectionTimeout) ?? undefined,
    'total timeout': milliseconds(options.totalConnectionTimeout) ?? undefined,
    'read timeout': milliseconds(options.readTimeout) ?? undefined,
    'write timeout': milliseconds(options.writeTimeout) ?? undefined,
    'idle timeout': milliseconds(options.idleTimeout) ?? undefined,
  });
}

const nothingOr = (text: string | null): string => text ?? 'nothing';
const body = (data: unknown): Facts => ({ body: nothingOr(size(data)) });
const reading = { out: ({ result }: Call): Facts => ({ body: size(result) ?? 'the end' }) };
const writing = { in: ({ args }: Call): Facts => body(args[0]) };
const streamIn: Row = { in: ({ args, log }) => facts({ connection: connection(args[0], log) ?? undefined }) };
const streamOut = ({ result, log }: Call) => facts({ connection: connection(result, log) ?? undefined });
/** What a session or a function gives back for the next request: a connection, or nothing. */
const kept = ({ result, log }: Call): Facts => ({
  'connection kept': connection(result, log) ?? 'no: it is closed',
});
const error = (of: any): string | null => (of === undefined || of === null ? null : String(of));
const address = (of: any): string => (typeof of === 'string' ? of : String(of?.address ?? of));

/** A hook on the way there, with the session first. */
const requestHook: Row = { in: ({ args }) => request(args[0]) };
const upstreamRequest: Row = {
  in: ({ args, secrets }) => requestWhole(args[1], secrets),
  changes: ({ args }) => [args[1]],
};
const responseHook: Row = {
  in: ({ args, secrets }) => responseWhole(args[1], secrets),
  changes: ({ args }) => [args[1]],
};
const bodyHook = (end: number): Row => ({
  in: ({ args }) => ({ ...body(args[1]), 'the last': args[end] === true }),
  out: ({ result }) => (result === undefined ? { replaced: false } : { replaced: true, ...body(result) }),
});

const hooks: Record<string, Row> = {
  request_filter: {
    in: ({ args }) => request(args[0]),
    out: ({ result, args }) => ({
      decision: result === true ? 'the application has answered' : 'go on',
      ...(result === true ? answered(args[0]) : {}),
    }),
    changes: ({ args }) => [args[0]?.reqHeader?.()],
  },
  request_cache_filter: requestHook,
  proxy_upstream_filter: {
    in: ({ args }) => request(args[0]),
    out: ({ result }) => ({ decision: result === false ? 'not to an origin' : 'go on to an origin' }),
  },
  upstream_peer: { in: ({ args }) => request(args[0]), out: ({ result }) => peerFacts(result) },
  connected_to_upstream: {
    in: ({ args }) => facts({ reused: args[1], peer: peerName(args[2]) }),
  },
  upstream_request_filter: upstreamRequest,
  upstream_response_filter: responseHook,
  response_filter: responseHook,
  request_body_filter: bodyHook(2),
  upstream_response_body_filter: bodyHook(2),
  response_body_filter: bodyHook(3),
  response_trailer_filter: {
    in: ({ args, secrets }) => ({
      trailers: args[1]?.names === undefined ? [] : fields({ version: '', headers: args[1] }, secrets),
    }),
  },
  logging: { in: ({ args }) => ({ ...request(args[0]), ...answered(args[0]), error: error(args[1]) }) },
  suppress_error_log: { in: ({ args }) => ({ error: error(args[2]) }), out: ({ result }) => ({ suppressed: result }) },
  fail_to_connect: {
    in: ({ args }) => ({ peer: peerName(args[1]), error: error(args[3]), retry: args[3]?.retryType }),
    out: ({ result }) => ({ error: error(result), retry: result?.retryType }),
  },
  error_while_proxy: {
    in: ({ args }) => ({ peer: peerName(args[0]), error: error(args[2]), reused: args[4] }),
    out: ({ result }) => ({ error: error(result), retry: result?.retryType }),
  },
  fail_to_proxy: {
    in: ({ args }) => ({ ...request(args[0]), error: error(args[1]) }),
    out: ({ result, args }) => ({ status: Number(result), ...answered(args[0]) }),
  },
};

/** The default of this one is no function of the original's. */
const ONLY_OWN = ['request_body_filter'];

/** Each hook under the name of the default and of an application's own. */
const bothWays = Object.fromEntries(
  Object.entries(hooks).flatMap(([name, row]) => [
    ...(ONLY_OWN.includes(name) ? [] : [[`ProxyHttp::${name}`, row]]),
    [`<app as ProxyHttp>::${name}`, row],
  ]),
);

const proxy: Record<string, Row> = {
  'HttpProxy::handle_new_request': {
    out: ({ result }) => (result === undefined ? { request: 'none, or it was refused' } : request(result)),
  },
  'HttpProxy::process_request': {
    in: ({ args }) => request(args[0]),
    out: (call) => ({ ...answered(call.args[0]), ...kept(call) }),
  },
  'HttpProxy::proxy_to_upstream': {
    in: ({ args }) => request(args[0]),
    out: ({ result }) => ({
      'client connection can be kept': result?.reuse ?? null,
      error: error(result?.error),
      ...(result?.error === undefined ? {} : { retry: result.error.retryType }),
    }),
  },
  'HttpProxy::finish': {
    in: ({ args }) => ({ ...answered(args[0]), reuse: args[2], error: error(args[3]) }),
    out: kept,
  },
  'HttpProxy::upstream_filter': {
    in: ({ args }) => ({ task: task(args[1]) }),
    changes: ({ args }) => [args[1]?.header],
  },
  'HttpProxy::h1_response_filter': {
    in: ({ args }) => ({ task: task(args[args.length > 3 && task(args[1]) === null ? 2 : 1]) }),
    out: ({ result }) => ({ task: task(result) }),
  },
  'HttpProxy::proxy_cache': { out: ({ result }) => ({ hit: result !== undefined }) },
  'proxy_h1::send_body_to_pipe': {
    in: ({ args }) => ({ ...body(args[0]), 'the last': args[1] === true }),
  },
  'HttpSession::read_response_task': { out: ({ result }) => ({ task: task(result) }) },
  'HttpSession::response_duplex': { in: ({ args }) => ({ task: task(args[0]) }) },
  'ResponseCompressionCtx::response_filter': {
    in: ({ args }) => ({ task: task(args[0]) }),
    out: ({ result }) => ({ replaced: result !== undefined }),
    changes: ({ args }) => [args[0]?.header],
  },
  'compression::decide_action': { out: ({ result }) => ({ action: String(result?.type ?? result) }) },
};
proxy['HttpProxy::h2_response_filter'] = proxy['HttpProxy::h1_response_filter']!;
for (const name of ['write_response_tasks', 'response_duplex_vec'])
  proxy[`Session::${name}`] = {
    in: ({ args }) => ({ tasks: (args[0] as unknown[]).map((one) => nothingOr(task(one))) }),
    out: ({ result }) => ({ 'response ended': result === true }),
  };
proxy['HttpSession::response_duplex_vec'] = proxy['Session::response_duplex_vec']!;

const sessions: Record<string, Row> = {
  '<HttpProxy as HttpServerApp>::process_new_http': { out: kept },
  '<SV as HttpServerApp>::process_new_http': { out: kept },
  '<HttpServer as HttpServerApp>::process_new_http': { out: kept },
  '<T as ServerApp>::process_new': { in: streamIn.in!, out: kept },
  'Service::handle_event': streamIn,
  'Session::new_http1': streamIn,
  'Session::read_request': {
    out: ({ self, result, secrets }) =>
      result === undefined ? { request: 'none: the client has left' } : requestWhole(self.reqHeader(), secrets),
  },
  'HttpSession::read_request': {
    out: ({ self, result, secrets }) =>
      result === undefined
        ? ({ request: 'none: the client has left' } as Facts)
        : { ...requestWhole(self.reqHeader(), secrets), 'head size': `${result} bytes` },
  },
  'server::parse_req_buffer': { out: ({ result, secrets }) => requestWhole(result, secrets) },
  'client::parse_resp_buffer': { out: ({ result, secrets }) => responseWhole(result, secrets) },
  'HttpSession::from_h2_conn': {
    out: ({ result, secrets }) =>
      result === undefined ? { request: 'none: the connection has ended' } : requestWhole(result.reqHeader(), secrets),
  },
  'HttpSession::respect_keepalive': { out: ({ self }) => ({ keepalive: keepalive(self.keepalive) }) },
  'HttpSession::set_server_keepalive': { in: ({ args }) => ({ keepalive: keepalive(args[0]) }) },
  'Session::set_keepalive': { in: ({ args }) => ({ keepalive: keepalive(args[0]) }) },
  'HttpSession::read_body_bytes': reading,
  'HttpSession::read_body_ref': reading,
  'HttpSession::do_read_body': reading,
  'HttpSession::read_body': reading,
  'Session::read_body_or_idle': {
    in: ({ args }) => ({ 'no body expected': args[0] === true }),
    out: reading.out,
  },
  'Session::read_request_body': reading,
  'HttpSession::read_response_body': reading,
  'Http2Session::read_response_body': reading,
  'BodyReader::read_body': { ...reading, in: ({ self }) => ({ state: String(self.state) }) },
  'HttpSession::init_body_reader': { out: ({ self }) => ({ body: String(self.bodyReader.state) }) },
  'HttpSession::write_body': writing,
  'HttpSession::do_write_body': writing,
  'Session::write_response_body': writing,
  'BodyWriter::write_body': { in: ({ args }) => body(args[1]) },
  'Http2Session::write_request_body': writing,
  'HttpSession::write_response_header': {
    in: ({ args, secrets }) => responseWhole(args[0], secrets),
    changes: ({ args }) => [args[0]],
  },
  'Session::write_response_header': { in: ({ args, secrets }) => responseWhole(args[0], secrets) },
  'HttpSession::write_request_header': {
    in: ({ args, secrets }) => requestWhole(args[0], secrets),
    out: ({ result }) => (typeof result === 'number' ? { 'head size': `${result} bytes` } : undefined),
  },
  'Http2Session::write_request_header': {
    in: ({ args, secrets }) => ({ ...requestWhole(args[0], secrets), 'the last': args[1] === true }),
  },
  'HttpSession::read_response': {
    out: ({ self, secrets }) => responseWhole(self.respHeader?.(), secrets),
  },
  'HttpSession::read_resp_header_parts': { out: ({ result, secrets }) => responseWhole(result, secrets) },
  'Http2Session::read_response_header': {
    out: ({ self, secrets }) => responseWhole(self.responseHeader ?? self.respHeader?.(), secrets),
  },
  'HttpSession::reuse': { out: kept },
  'Session::finish': { out: kept },
  'Session::respond_error': { in: ({ args }) => ({ status: args[0] }) },
  'HttpSession::respond_error': { in: ({ args }) => ({ status: args[0] }) },
  'error_resp::gen_error_response': {
    in: ({ args }) => ({ status: args[0] }),
    out: ({ result, secrets }) => responseWhole(result, secrets),
  },
  'Ssl::selected_alpn_proto': { out: ({ result }) => ({ alpn: result === undefined ? 'none' : String(result) }) },
};

const connecting: Record<string, Row> = {
  'HttpPeer::new': { out: ({ result }) => peerFacts(result) },
  'BasicPeer::new': { out: ({ result }) => ({ peer: peerName(result) }) },
  'Connector::get_http_session': {
    in: ({ args }) => peerFacts(args[0]),
    out: ({ result, log }) => {
      const [session, reused] = result as [any, boolean];
      const h1 = session.h1 ?? session;
      return facts({
        reused: reused === true,
        version: session.h2 === undefined ? 'HTTP/1.1' : 'HTTP/2',
        connection: connection(h1?.stream, log) ?? undefined,
      });
    },
  },
  'Connector::reused_http_session': {
    in: ({ args }) => ({ peer: peerName(args[0]) }),
    out: ({ result }) => ({ found: result !== undefined }),
  },
  'Connector::new_http_session': { in: ({ args }) => peerFacts(args[0]) },
  'Connector::release_http_session': {
    in: ({ args }) => facts({ peer: peerName(args[1]), 'idle timeout': milliseconds(args[2]) ?? 'without limit' }),
  },
  'TransportConnector::get_stream': {
    in: ({ args }) => ({ peer: peerName(args[0]) }),
    out: ({ result, log }) => ({ reused: result[1] === true, connection: connection(result[0], log) }),
  },
  'TransportConnector::reused_stream': {
    in: ({ args }) => ({ 'pool key': String(args[0].reuseHash()) }),
    out: ({ result, log }) => ({ found: connection(result, log) ?? 'none waits' }),
  },
  'TransportConnector::new_stream': { in: ({ args }) => ({ peer: peerName(args[0]) }), out: streamOut },
  'TransportConnector::release_stream': {
    in: ({ args, log }) => ({
      connection: connection(args[0], log),
      'pool key': String(args[1]),
      'idle timeout': milliseconds(args[2]) ?? 'without limit',
    }),
  },
  'connectors::do_connect': { in: ({ args }) => peerFacts(args[0]), out: streamOut },
  'connectors::do_connect_inner': {
    in: ({ args }) => ({ peer: peerName(args[0]), tls: args[0].tls() }),
    out: streamOut,
  },
  'connectors::test_reusable_stream': {
    in: ({ args, log }) => ({ connection: connection(args[0], log) }),
    out: ({ result }) => ({ reusable: result }),
  },
  'l4::connect': { in: ({ args }) => ({ peer: peerName(args[0]) }), out: streamOut },
  'ext::connect': { in: ({ args }) => ({ address: String(args[0]) }) },
  'tls::connect': {
    in: ({ args }) => ({ sni: args[1].sni(), alpn: String(args[2] ?? args[1].getPeerOptions?.()?.alpn ?? 'none') }),
    out: ({ result }) => ({
      alpn: String(result.selectedAlpnProto?.() ?? 'none'),
      tls: result.ssl?.getProtocol?.() ?? null,
    }),
  },
  'PreferredHttpVersion::get': { out: ({ result }) => ({ preferred: result === undefined ? 'none' : String(result) }) },
  'PreferredHttpVersion::add': { in: ({ args }) => ({ peer: peerName(args[0]), version: `HTTP/${args[1]}` }) },
  'ConnectionPool::get': {
    in: ({ args, self }) => ({ 'pool key': String(args[0]), 'connections waiting': self.length }),
    out: ({ result, log, self }) => ({
      found: result === undefined ? 'none waits' : (connection(result, log) ?? 'a connection'),
      'connections waiting': self.length,
    }),
  },
  'ConnectionPool::put': {
    in: ({ args, log, self }) =>
      facts({
        'pool key': String(args[0].key),
        connection: connection(args[1], log) ?? undefined,
        'connections waiting': self.length,
      }),
    out: ({ self }) => ({ 'connections waiting': self.length }),
  },
  'ConnectionPool::idle_poll': {
    in: ({ args, log }) =>
      facts({
        connection: connection(args[0], log) ?? undefined,
        'idle timeout': milliseconds(args[2]) ?? 'without limit',
      }),
  },
};

const balancing: Record<string, Row> = {
  'LoadBalancer::select': {
    out: ({ result }) => ({ backend: result === undefined ? 'none is ready' : String(result.addr) }),
  },
  'LoadBalancer::select_with': {
    in: ({ args }) => ({ 'tries at most': args[1] }),
    out: ({ result }) => ({ backend: result === undefined ? 'none is ready' : String(result.addr) }),
  },
  'UniqueIterator::get_next': {
    out: ({ result }) => ({ backend: result === undefined ? 'no more' : String(result.addr) }),
  },
  '<WeightedIterator as BackendIter>::next': {
    out: ({ result }) => ({ backend: result === undefined ? 'no more' : String(result.addr) }),
  },
  '<RoundRobin as SelectionAlgorithm>::next': { out: ({ result }) => ({ index: Number(result) }) },
  'Backends::ready': {
    in: ({ args }) => ({ backend: String(args[0].addr) }),
    out: ({ result }) => ({ ready: result }),
  },
  'Health::ready': {
    in: ({ self }) => ({ healthy: self.healthy, enabled: self.enabled }),
    out: ({ result }) => ({ ready: result }),
  },
  'Health::observe_health': {
    in: ({ args, self }) => ({
      observed: args[0] ? 'healthy' : 'not healthy',
      healthy: self.healthy,
      threshold: args[1],
    }),
    out: ({ result }) => ({ flipped: result }),
  },
  '<TcpHealthCheck as HealthCheck>::check': { in: ({ args }) => ({ backend: String(args[0].addr) }) },
  '<HttpHealthCheck as HealthCheck>::check': { in: ({ args }) => ({ backend: String(args[0].addr) }) },
  'run_health_check::check_and_report': { in: ({ args }) => ({ backend: String(args[0].addr) }) },
  'Backends::do_update': {
    in: ({ args }) => ({ backends: Array.from(args[0] as Iterable<any>, ({ addr }) => String(addr)) }),
    out: ({ result }) => ({ changed: result }),
  },
  'Static::try_from_iter': { in: ({ args }) => ({ addresses: Array.from(args[0] as Iterable<unknown>, String) }) },
  'LoadBalancer::try_from_iter': {
    in: ({ args }) => ({ addresses: Array.from(args[0] as Iterable<unknown>, String) }),
  },
};

const server: Record<string, Row> = {
  'Server::run_service': { in: ({ args }) => facts({ service: args[0]?.name?.() }) },
  'Server::add_service': { in: ({ args }) => facts({ service: args[0]?.name?.() }) },
  '<Service as Service>::name': { out: ({ result }) => ({ name: result }) },
  '<Service as Service>::threads': { out: ({ result }) => ({ threads: result ?? 'as the configuration says' }) },
  'Service::new': { in: ({ args }) => ({ name: args[0] }) },
  'Service::add_tcp': { in: ({ args }) => ({ address: args[0] }) },
  'Service::add_uds': { in: ({ args }) => ({ path: args[0] }) },
  'Service::add_tls_with_settings': { in: ({ args }) => ({ address: args[0] }) },
  'Listeners::add_tcp': { in: ({ args }) => ({ address: args[0] }) },
  'Listeners::add_uds': { in: ({ args }) => ({ path: args[0] }) },
  'Listeners::add_address': { in: ({ args }) => ({ address: address(args[0]) }) },
  'Listeners::add_endpoint': { in: ({ args }) => ({ address: address(args[0]), tls: args[1] !== undefined }) },
  'ListenerEndpoint::new': { in: ({ args }) => ({ address: address(args[0]) }) },
  'ListenerEndpoint::listen': { out: ({ self }) => facts({ address: self.listener?.localAddress?.() }) },
  'l4::bind_tcp': { in: ({ args }) => ({ address: args[0] }) },
  'uds::bind': { in: ({ args }) => ({ path: args[0] }) },
  'Listener::accept': { out: streamOut },
  'ListenerEndpoint::accept': { out: streamOut },
  'UninitializedStream::handshake': { out: streamOut },
  'TlsSettings::set_alpn': { in: ({ args }) => ({ alpn: String(args[0]) }) },
  'Runtime::new_steal': { in: ({ args }) => ({ threads: args[0], name: args[1] }) },
  'Runtime::new_no_steal': { in: ({ args }) => ({ threads: args[0], name: args[1] }) },
  'Server::create_runtime': { in: ({ args }) => ({ name: args[0], threads: args[1], 'work stealing': args[2] }) },
  'Server::main_loop': {
    out: ({ result }) => ({ shutdown: typeof result === 'object' ? JSON.stringify(result) : String(result) }),
  },
  '<app as ServeHttp>::response': {
    in: ({ args }) => request(args[0]),
    out: ({ result, secrets }) => ({ ...responseWhole(result?.head, secrets), ...body(result?.body) }),
  },
};
server['<PrometheusHttpApp as ServeHttp>::response'] = server['<app as ServeHttp>::response']!;

/** By Pingora's name of the function. */
export const table: Readonly<Record<string, Row>> = {
  ...bothWays,
  ...proxy,
  ...sessions,
  ...connecting,
  ...balancing,
  ...server,
};
