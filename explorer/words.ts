/**
 * What a function does, in one sentence: the first one of its documentation in the port's source.
 *
 * An application's hook says what `ProxyHttp` says of it. Where the documentation is written at another declaration (a
 * trait's method and its implementations), {@link MORE} has it.
 */

/** Of functions whose own declaration says nothing, because the type or the trait does. By Pingora's names. */
export const MORE: Readonly<Record<string, string>> = {
  '<SV as HttpServerApp>::process_new_http':
    'Serves one request of an application that only makes responses: reads its head, asks the application, writes what it answers.',
  '<HttpServer as HttpServerApp>::process_new_http':
    'Serves one request of such an application, with HTTP modules (as compression) between it and the client.',
  '<T as ServerApp>::cleanup': 'Passes on to the HTTP application that the service ends.',
  '<PrometheusHttpApp as ServeHttp>::response':
    'Answers with the metrics that the process has counted, as text that Prometheus reads.',
  'PrometheusServer::new': 'Makes the application that serves the metrics, with compression in front of it.',
  'Connector::new': 'Makes what connects to origins and keeps their connections.',
  'Stub::new_stream': 'Opens a new stream on an HTTP/2 connection to the origin.',
  'Connector::h1_is_preferred': 'Says whether this origin is known to want HTTP/1.1.',
  'Connector::prefer_h1': 'Remembers that this origin is to be spoken to in HTTP/1.1.',
  'v2::handshake': 'Begins HTTP/2 on a new connection to the origin: the preface and the settings.',
  'connectors::do_connect_inner': 'Connects the socket, and makes the TLS handshake if the peer wants one.',
  'PreferredHttpVersion::add': 'Remembers which HTTP version this origin is to be offered.',
  'PreferredHttpVersion::get': 'Looks up which HTTP version this origin is to be offered, if anything is known.',
  'uds::bind': 'Binds a Unix socket at its path.',
  'l4::bind_tcp': 'Binds a TCP socket to its address.',
  'l4::bind': 'Binds a listening socket, of TCP or at a path.',
  'l4::from_raw_fd': 'Takes a listening socket over that another process has handed on.',
  'ListenerEndpoint::new': 'Makes an endpoint for one address; nothing listens yet.',
  'TransportStackBuilder::build':
    'Puts the layers of one listener together: the socket, and TLS above it if there is any.',
  '<TcpHealthCheck as HealthCheck>::health_threshold':
    'Says how many checks in a row it takes to change a backend’s health.',
  '<HttpHealthCheck as HealthCheck>::health_threshold':
    'Says how many checks in a row it takes to change a backend’s health.',
  'run_health_check::check_and_report': 'Checks one backend and notes what was found.',
  '<RoundRobin as SelectionAlgorithm>::new': 'Makes the counter that round robin goes by.',
  '<RoundRobin as SelectionAlgorithm>::next': 'Gives the next index: the counter, one higher with each request.',
  'UniqueIterator::new': 'Makes the list of backends to try, each only once.',
  '<Weighted as BackendSelection>::iter': 'Begins to go through the backends, as their weights say.',
  '<WeightedIterator as BackendIter>::next':
    'Gives the next backend: the algorithm’s index, looked up in the list of weights.',
  '<ResponseCompression as HttpModule>::request_header_filter': 'Notes which codings the client accepts.',
  '<ResponseCompression as HttpModule>::response_filter':
    'Compresses this piece of the response, if it is to be compressed.',
  '<ResponseCompressionBuilder as HttpModuleBuilder>::init': 'Makes the compression module of one request.',
  'BodyReader::do_read_body': 'Reads a piece of a body whose length is known.',
  'BodyReader::do_read_body_until_closed': 'Reads a piece of a body that ends when the connection does.',
  'BodyReader::do_read_chunked_body': 'Reads a piece of a chunked body.',
  'BodyWriter::do_write_body': 'Writes a piece of a body whose length was announced.',
  'BodyWriter::do_write_chunked_body': 'Writes a piece of a body as a chunk, its length in front.',
  'BodyWriter::do_write_http1_0_body': 'Writes a piece of a body that ends when the connection does.',
  'BodyWriter::do_finish_body': 'Checks that as many bytes were written as were announced.',
  'BodyWriter::do_finish_chunked_body': 'Writes the last chunk, which has no bytes.',
  'BodyWriter::do_finish_http1_0_body': 'Ends a body that ends with the connection.',
  'client::parse_resp_buffer': 'Parses the head of the origin’s response from the bytes that have arrived.',
  'HttpSession::do_write_body': 'Hands a piece of the body to the writer, which frames it.',
  'HttpSession::do_read_body': 'Asks the body reader for the next piece.',
  'HttpSession::read_body': 'Reads the next piece of the body, for no longer than the timeout allows.',
  'HttpSession::init_body_reader':
    'Decides by the head how the body ends: by its length, its last chunk, with the connection, or at once.',
  'HttpSession::init_req_body_writer': 'Decides by the request’s head how its body is framed.',
  'HttpSession::init_body_writer': 'Decides by the response’s head how its body is framed.',
  'server::parse_req_buffer': 'Parses the head of a request from the bytes that have arrived.',
  'HttpSession::write_body_buf': 'Writes the pieces of the body that were kept to go out together.',
  'HttpSession::response_duplex': 'Writes one piece of the response to the client.',
  '<Compressor as Encode>::encode': 'Compresses a piece of the body.',
  'ResponseCompressionCtx::response_header_filter':
    'Decides by the response’s head whether it is compressed, and changes the head accordingly.',
  'ResponseCompressionCtx::response_body_filter': 'Compresses a piece of the body, if the response is compressed.',
  'SslStream::accept': 'Waits for the TLS handshake of a client.',
  '<HttpProxy as HttpServerApp>::http_cleanup': 'Lets go of the connections that wait for a request: the service ends.',
  'ResponseStateMachine::new': 'Begins to keep track of whether the response has come to its end.',
  'HttpProxy::proxy_to_h1_upstream':
    'One try with an origin that speaks HTTP/1: tells the application that there is a connection, and exchanges request and response.',
  'HttpProxy::proxy_1to1':
    'Sends the request to an HTTP/1 origin and then runs the two halves of the exchange together.',
  'HttpProxy::h1_response_filter': 'Runs the filters over one piece of the response.',
  'HttpProxy::proxy_to_h2_upstream':
    'One try with an origin that speaks HTTP/2: tells the application that there is a stream, and exchanges request and response.',
  'HttpProxy::proxy_1to2':
    'Sends the request to an HTTP/2 origin and then runs the two halves of the exchange together.',
  'HttpProxy::h2_response_filter': 'Runs the filters over one piece of the response.',
  'NoStealRuntime::init_pools': 'Starts the threads of a runtime whose threads take no work from each other.',
  'NoStealRuntime::shutdown_timeout': 'Ends the runtime’s threads, for no longer than the time given.',
  'Server::run_service': 'Gives a service a runtime of its own and starts it there.',
  'Server::load_fds': 'Takes the listening sockets of the process before this one, if this one is an upgrade.',
  'Server::create_runtime': 'Makes the runtime that a service runs on.',
  'transfer_fd::get_fds_from': 'Receives listening sockets from another process.',
  'transfer_fd::accept_with_retry': 'Waits for the other process to come for the sockets.',
  'transfer_fd::send_fds_to': 'Sends the listening sockets to the process that comes after this one.',
  '<GenBackgroundService as Service>::start_service': 'Runs the background task until the server ends.',
  '<GenBackgroundService as Service>::name': 'Gives the service’s name.',
  '<GenBackgroundService as Service>::threads': 'Says how many threads the service wants.',
  '<Service as Service>::start_service': 'Builds the listeners and starts a task for each, which accepts connections.',
  '<Service as Service>::name': 'Gives the service’s name.',
  '<Service as Service>::threads': 'Says how many threads the service wants.',
  'l4::proxy_connect': 'Connects to the peer through a proxy: asks it with CONNECT and waits for its answer.',
  '<DnsDiscovery as ServiceDiscovery>::discover': 'Looks the backends’ names up anew.',
  'Health::enable': 'Notes whether the backend is to be used at all.',
  '<H as SelectionAlgorithm>::new': 'Makes a hash function that selects.',
  '<H as SelectionAlgorithm>::next': 'Gives the index that the key hashes to.',
  '<Random as SelectionAlgorithm>::new': 'Makes the selection by chance.',
  '<Random as SelectionAlgorithm>::next': 'Gives a random index.',
  '<KetamaHashing as BackendSelection>::iter': 'Begins at the key’s place on the ring of backends.',
  '<OwnedNodeIterator as BackendIter>::next': 'Gives the next backend along the ring.',
  'client::do_ping_pong': 'Pings the origin now and then, and gives the connection up if no answer comes.',
  'Decompressor::new': 'Makes what decompresses brotli.',
  '<Decompressor as Encode>::encode': 'Decompresses a piece of the body.',
  'proxy_purge::gen_purge_response': 'Makes the answer to a request to purge.',
  'proxy_purge::write_purge_response': 'Writes the answer to a request to purge.',
  'DummyIO::new': 'Makes a connection to nobody, for a request of the proxy’s own.',
  'daemon::move_old_pid': 'Moves the old process’s pid file out of the way.',
  'daemon::gid_for_username': 'Looks up which group a user belongs to.',
};

/** The first sentence of a JSDoc comment, without its markup; null if there is none. */
export function firstSentence(comment: string): string | null {
  const text = comment
    .replace(/^\s*\/\*\*|\*\/\s*$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .replace(/^\s*@internal\s+/, '')
    .split(/\n\s*\n|\n@/)[0]!
    .replace(/\{@link ([^}]+)\}/g, '$1')
    .replace(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replace(/`/g, '')
    .replace(/\s+/g, ' ')
    .trim();
  if (text === '' || text.startsWith('@')) return null;
  const end = /[.:](?= [A-Z“`(]|$)/.exec(text);
  return end === null ? `${text}.` : `${text.slice(0, end.index)}.`;
}

/** The JSDoc comment that belongs to what is declared at `line` (from 1) of a source; null if it has none. */
export function commentAbove(source: string, line: number): string | null {
  const lines = source.split('\n');
  let at = line - 2;
  // decorators, and the beginning of a wrapped function, stand between
  while (at >= 0 && /^\s*(?:@[\w.]+|(?:export )?(?:const|async function|function) |\/\/)/.test(lines[at]!)) at--;
  if (at < 0 || !lines[at]!.trim().endsWith('*/')) return null;
  let from = at;
  while (from >= 0 && !lines[from]!.includes('/*')) from--;
  const text = lines
    .slice(from, at + 1)
    .join('\n')
    .trim();
  return text.startsWith('/**') ? text : null;
}
