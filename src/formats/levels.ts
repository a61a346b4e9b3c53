/** How much of a trace is shown: the main path, with the phases of a request, or everything. */
import type { TraceSpan } from '../tracing/model.ts';

/** How much of a trace is shown: the main calls, the phases, or all. */
export type Level = 'main' | 'phases' | 'all';

export const LEVELS: readonly Level[] = ['main', 'phases', 'all'];

/** The way from `run_forever` to the origin and back: each function that a reader needs to follow it, and no other. */
const MAIN: ReadonlySet<string> = new Set([
  'Server::run_forever',
  'Server::main_loop',
  'Server::run_service',
  '<Service as Service>::start_service',
  'Service::run_endpoint',
  'TransportStack::listen',
  'UninitializedStream::handshake',
  'Acceptor::tls_handshake',
  'server::handshake',
  'Service::handle_event',
  '<T as ServerApp>::process_new',
  'HttpSession::from_h2_conn',
  '<HttpProxy as HttpServerApp>::process_new_http',
  '<SV as HttpServerApp>::process_new_http',
  '<HttpServer as HttpServerApp>::process_new_http',
  'HttpProxy::handle_new_request',
  'Session::read_request',
  'HttpProxy::process_request',
  'HttpProxy::proxy_to_upstream',
  'LoadBalancer::select',
  'Connector::get_http_session',
  'l4::connect',
  'tls::connect',
  'v2::handshake',
  'HttpProxy::proxy_to_h1_upstream',
  'HttpProxy::proxy_to_h2_upstream',
  'HttpProxy::proxy_1to1',
  'HttpProxy::proxy_1to2',
  'HttpProxy::proxy_handle_downstream',
  'HttpProxy::proxy_handle_upstream',
  'HttpProxy::bidirection_1to2',
  'proxy_h2::pipe_2to1_response',
  'HttpSession::write_request_header',
  'Http2Session::write_request_header',
  'HttpSession::read_response',
  'Http2Session::read_response_header',
  'HttpSession::write_response_header',
  'Session::respond_error',
  'Session::write_response_header',
  'ProxyHttp::fail_to_connect',
  'ProxyHttp::fail_to_proxy',
  'ProxyHttp::error_while_proxy',
  'HttpProxy::finish',
  'Connector::release_http_session',
  '<PrometheusHttpApp as ServeHttp>::response',
  '<LoadBalancer as BackgroundService>::start',
  'Backends::run_health_check',
  '<TcpHealthCheck as HealthCheck>::check',
  '<HttpHealthCheck as HealthCheck>::check',
  'Fds::send_to_sock',
  'Fds::get_from_sock',
  'Runtime::shutdown_timeout',
  'NoStealRuntime::shutdown_timeout',
]);

/** What a request passes beside the main path. */
const PHASES: ReadonlySet<string> = new Set([
  'Server::new',
  'Server::bootstrap',
  'Server::add_service',
  'pingora_proxy::http_proxy_service',
  'Service::add_tcp',
  'Service::add_uds',
  'Service::add_tls_with_settings',
  'TransportStack::accept',
  'Session::set_keepalive',
  'HttpProxy::proxy_cache',
  'HttpProxy::upstream_filter',
  'HttpProxy::h1_response_filter',
  'HttpProxy::h2_response_filter',
  'HttpModuleCtx::request_header_filter',
  'HttpModuleCtx::response_filter',
  'TransportConnector::get_stream',
  'TransportConnector::reused_stream',
  'TransportConnector::new_stream',
  'TransportConnector::release_stream',
  'ConnectionPool::get',
  'ConnectionPool::put',
  'HttpSession::read_response_task',
  'Session::write_response_tasks',
  'Session::finish',
  'Session::read_body_or_idle',
  'compression::decide_action',
]);

/** The coarsest level at which a call is shown. An application's hooks are always, and so is where an error began. */
export function levelOf({ fn, rust }: Pick<TraceSpan, 'fn' | 'rust'>): Level {
  if (rust?.file === 'app' || MAIN.has(fn)) return 'main';
  if (fn.startsWith('ProxyHttp::') || PHASES.has(fn)) return 'phases';
  return 'all';
}

/** Whether a call is shown at a level. */
export function isShownAt(span: Pick<TraceSpan, 'fn' | 'rust'>, level: Level): boolean {
  return LEVELS.indexOf(levelOf(span)) <= LEVELS.indexOf(level);
}
