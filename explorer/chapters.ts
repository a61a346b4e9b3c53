/**
 * Which chapter of the book explains a function.
 *
 * A chapter that mentions a function needn't explain it, and the first that mentions it seldom does. So those that one
 * meets on the way have their chapter here, and for the others it is found by what the chapters say most about.
 */

/** By the chapter's number: functions by Pingora's name, with `#` and Pingora's file where several have the name. */
const EXPLAINED: Readonly<Record<string, readonly string[]>> = {
  '01': ['Server::new', 'Server::bootstrap', 'Server::add_service'],
  '02': ['pingora_proxy::http_proxy_service', 'HttpProxy::new'],
  '03': ['Service::add_tcp'],
  '04': ['Server::run_forever', 'Server::main_loop', 'Server::run_service', 'Server::create_runtime'],
  '05': ['<Service as Service>::start_service', 'TransportStack::cleanup', '<T as ServerApp>::cleanup'],
  '06': ['Service::run_endpoint', 'TransportStack::listen', 'TransportStack::accept', 'ListenerEndpoint::listen'],
  '07': [
    'UninitializedStream::handshake',
    'Acceptor::tls_handshake',
    'server::handshake#pingora-core/src/protocols/ssl/server.rs',
  ],
  '08': ['Service::handle_event', 'HttpSession::reuse#pingora-core/src/protocols/http/v1/server.rs'],
  '09': ['<SV as HttpServerApp>::process_new_http', '<HttpServer as HttpServerApp>::process_new_http'],
  '10': ['<T as ServerApp>::process_new', 'Ssl::selected_alpn_proto', 'TlsSettings::enable_h2', 'Session::new_http1'],
  '11': ['server::handshake#pingora-core/src/protocols/http/v2/server.rs', 'HttpSession::from_h2_conn'],
  '12': [
    '<HttpProxy as HttpServerApp>::process_new_http',
    'HttpProxy::handle_new_request',
    'Session::read_request',
    'HttpSession::read_request',
    'server::parse_req_buffer',
    'HttpSession::respect_keepalive#pingora-core/src/protocols/http/v1/server.rs',
    'Session::set_keepalive',
    'ProxyHttp::new_ctx',
  ],
  '13': [
    'HttpProxy::process_request',
    'HttpProxy::proxy_to_upstream',
    'HttpProxy::proxy_cache',
    'ProxyHttp::request_filter',
    'ProxyHttp::proxy_upstream_filter',
    'ProxyHttp::request_cache_filter',
    'ProxyHttp::upstream_request_filter',
    'ProxyHttp::upstream_response_filter',
    'ProxyHttp::upstream_response_body_filter',
    'ProxyHttp::response_filter',
    'ProxyHttp::response_body_filter',
    'ProxyHttp::response_trailer_filter',
  ],
  '14': [
    'ProxyHttp::upstream_peer',
    'ProxyHttp::connected_to_upstream',
    'HttpPeer::new',
    'Connector::get_http_session',
    'Connector::release_http_session',
    'TransportConnector::get_stream',
    'TransportConnector::reused_stream',
    'TransportConnector::new_stream',
    'TransportConnector::release_stream',
    'ConnectionPool::get',
    'ConnectionPool::put',
    'ConnectionPool::idle_poll',
    'connectors::do_connect',
    'connectors::do_connect_inner',
    'connectors::test_reusable_stream',
    'l4::connect',
    'ext::connect',
    'tls::connect',
    'HttpSession::reuse#pingora-core/src/protocols/http/v1/client.rs',
  ],
  '15': [
    'HttpProxy::proxy_to_h1_upstream',
    'HttpProxy::proxy_1to1',
    'HttpProxy::proxy_handle_downstream',
    'HttpProxy::proxy_handle_upstream',
    'HttpSession::write_request_header',
    'HttpSession::read_response',
    'HttpSession::read_response_task',
    'HttpProxy::h1_response_filter',
    'HttpSession::write_response_header',
    'Session::write_response_tasks',
    'Session::read_body_or_idle',
    'DownstreamStateMachine::new',
    'ResponseStateMachine::new',
  ],
  '16': [
    'HttpProxy::proxy_to_h2_upstream',
    'HttpProxy::proxy_1to2',
    'HttpProxy::bidirection_1to2',
    'proxy_h2::pipe_2to1_response',
    'HttpProxy::h2_response_filter',
    'Http2Session::write_request_header',
    'Http2Session::read_response_header',
    'v2::handshake',
  ],
  '17': ['ProxyHttp::fail_to_proxy', 'Session::respond_error'],
  '18': ['ProxyHttp::fail_to_connect', 'ProxyHttp::error_while_proxy', 'HttpSession::enable_retry_buffering'],
  '19': ['HttpProxy::finish', 'ProxyHttp::logging', 'Session::finish'],
  '20': [
    'LoadBalancer::select',
    'LoadBalancer::select_with',
    '<RoundRobin as SelectionAlgorithm>::next',
    '<LoadBalancer as BackgroundService>::start',
    'Backends::run_health_check',
    'Backends::ready',
    '<TcpHealthCheck as HealthCheck>::check',
    '<HttpHealthCheck as HealthCheck>::check',
  ],
  '21': [
    '<HttpProxy as HttpServerApp>::http_cleanup',
    'Server::load_fds',
    'Fds::send_to_sock',
    'Fds::get_from_sock',
    'transfer_fd::send_fds_to',
  ],
};

/** An application's hook, which goes by its trait's name too. */
const HOOK = /^<app as (\w+)>::(\w+)$/;

const byName: ReadonlyMap<string, string> = new Map(
  Object.entries(EXPLAINED).flatMap(([chapter, names]) => names.map((name) => [name, chapter] as const)),
);

/** All functions of the table, as it has them. */
export const explained: readonly string[] = [...byName.keys()];

/**
 * The names under which something is said of a function: with its file, an application's hook by its trait's, and by
 * its name alone. The first under which there is something counts.
 */
export function namesOf(fn: string, file: string | null): string[] {
  const [, trait, hook] = HOOK.exec(fn) ?? [];
  return [`${fn}#${file}`, ...(trait === undefined ? [] : [`${trait}::${hook}`]), fn];
}

/** The chapter of a function by the table; null if it has none there. */
export function chapterByTable(fn: string, file: string | null): string | null {
  for (const name of namesOf(fn, file)) {
    const chapter = byName.get(name);
    if (chapter !== undefined) return chapter;
  }
  return null;
}

/** What a chapter says, for the rule. */
export interface Chapter {
  /** `04` */
  number: string;
  /** Its Markdown. */
  text: string;
}

/** These are about something else: what they mention is explained elsewhere. */
const NOT_ABOUT: ReadonlySet<string> = new Set(['00', '23', '24']);

const count = (text: string, what: string) => text.split(what).length - 1;

/**
 * The chapter that says most of a function: each sentence that rests on it (a claim) counts as three of its calls in
 * what runs printed. Null if none says anything but its name in a list of calls.
 */
export function chapterByText(fn: string, file: string | null, chapters: readonly Chapter[]): string | null {
  let best: { chapter: string; said: number } | null = null;
  for (const { number, text } of chapters) {
    if (NOT_ABOUT.has(number)) continue;
    const listed = count(text, `${fn}  `) + count(text, `from="${fn}"`) * 2;
    const claims = [...text.matchAll(/<!-- claim: ([\s\S]*?) -->/g)];
    const claimed = claims.filter(([, on]) => on!.includes(`${fn}`) && (file === null || on!.includes(file))).length;
    const named = count(text, `\`${fn}\``);
    const said = listed + 3 * claimed + 2 * named;
    if (claimed + named === 0 && listed < 2) continue;
    if (best === null || said > best.said) best = { chapter: number, said };
  }
  return best?.chapter ?? null;
}
