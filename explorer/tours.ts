/** Guided tours: stops in a scenario's trace, each with what is to be seen there. */

export interface Stop {
  /** Pingora's name of the function. */
  fn: string;
  /** Which of its calls, from 1. Default: the first. */
  n?: number;
  /** Stop where the call returns rather than where it begins. */
  end?: boolean;
  title: string;
  text: string;
}

export interface Tour {
  scenario: string;
  title: string;
  /** What one knows after it. */
  about: string;
  stops: readonly Stop[];
  /** Where the last stop leads: the trace beside another one. */
  onwards?: { title: string; with: string };
}

const stop = (fn: string, title: string, text: string, more: Partial<Stop> = {}): Stop => ({
  fn,
  title,
  text,
  ...more,
});
const END = { end: true } as const;

const h1: Tour = {
  scenario: 'h1',
  title: 'One request, from the first byte to the last',
  about: 'Where a request’s peer is chosen, what is sent to whom, and why a second request needs no second connection.',
  onwards: { title: 'See what a second request does', with: 'keepalive' },
  stops: [
    stop(
      'Server::run_forever',
      'A server starts',
      'This call never returns: it starts every service and then waits for a signal. The tree on the left shows what it called; a call is open as long as its bar is lit.',
    ),
    stop(
      'Server::run_service',
      'A service gets a runtime',
      'Each service runs on a runtime of its own. Here there is one service, the proxy, and a task is spawned for it: see “Tasks” under State.',
    ),
    stop(
      '<Service as Service>::start_service',
      'The service builds its listeners',
      'We are in the second task now. For each address that was added, a task is spawned that will listen there. This one has one address.',
    ),
    stop(
      'Service::run_endpoint',
      'A task that accepts connections',
      'It binds the socket and then waits in a loop: for a connection, or for the end of the server. Until a client comes nothing runs at all.',
    ),
    stop(
      'UninitializedStream::handshake',
      'A client has connected',
      'The connection is accepted, and from here on it has a task of its own, so that nobody waits for it. With TLS the handshake would happen here; this one is plain TCP.',
    ),
    stop(
      '<T as ServerApp>::process_new',
      'Which protocol is spoken?',
      'TLS would have settled on a protocol. There is none, so the connection is taken for HTTP/1.1 and gets a session, which knows how to read requests from it.',
    ),
    stop(
      'HttpSession::read_request',
      'Reading the request',
      'The task waits in this call until bytes come. Look at the wire: those are the bytes that it reads, and “out” on the card is what it returns in the end.',
    ),
    stop(
      'HttpProxy::process_request',
      'The phases of a request',
      'This is the heart of the proxy. From here on the chart at the top shows which phase the request is in. Each phase calls a hook, which the application may override.',
    ),
    stop(
      '<app as ProxyHttp>::request_filter',
      'The application’s first word',
      'request_filter sees each request first. It may answer by itself and be done, or let the request go on. “out” says what it decided.',
    ),
    stop(
      '<app as ProxyHttp>::upstream_peer',
      'Where does the request go?',
      'This is the one hook that every application must have: it chooses the peer. This application asks a load balancer.',
    ),
    stop(
      '<RoundRobin as SelectionAlgorithm>::next',
      'Why this one',
      'Round robin is a counter: each request gets the next index, and the index is looked up in the list of backends. The one found is asked for its health before it is taken.',
    ),
    stop(
      '<app as ProxyHttp>::upstream_peer',
      'The peer is chosen',
      'The hook returns the peer with all that a connection depends on. Its pool key says which connections may be used for it: only those that were made to the same address in the same way.',
      END,
    ),
    stop(
      'ConnectionPool::get',
      'Is there a connection already?',
      'The pool is asked for a connection with that key. This is the first request, so that nothing waits there, and one has to be made.',
    ),
    stop(
      'l4::connect',
      'Connecting to the origin',
      'The task waits until the origin has accepted. From then on the proxy has two connections: the client’s and the origin’s. The second one shows under State once something was sent on it.',
    ),
    stop(
      'HttpSession::write_request_header',
      'The request goes out',
      'Compare these bytes with those that the client sent: hop-by-hop fields such as Connection are gone, for they were meant for the proxy alone (Pingora 0.1.0 passes them on).',
    ),
    stop(
      'HttpProxy::proxy_handle_downstream',
      'Two halves, one task',
      'From here on two halves take turns: this one reads from the client and writes to it, the other one does so with the origin. Between them are two channels with four places each (State).',
    ),
    stop(
      'HttpSession::read_response',
      'The origin answers',
      'The upstream half reads the head of the response and puts it into the channel. The downstream half is not woken yet: more may come at once.',
    ),
    stop(
      'HttpProxy::h1_response_filter',
      'The filters see the answer',
      'Head and body pass the filters piece by piece. An application could change each of them here.',
    ),
    stop(
      'HttpSession::write_response_header',
      'The answer goes to the client',
      '“Changed” shows what the proxy adds: the date, and whether the connection is kept. Head and body leave in one write.',
    ),
    stop(
      'ConnectionPool::put',
      'Why the next request is cheaper',
      'The origin’s connection isn’t closed: it goes into the pool under the peer’s key. The next request to this peer finds it there and needs no second connection.',
    ),
    stop(
      'HttpProxy::finish',
      'The end of the request',
      'The application may log the request, and then the client’s connection goes back to the loop that reads the next request from it. That’s all. The button below shows what a second request does, beside this one.',
    ),
  ],
};

const tlsH2: Tour = {
  scenario: 'tls-h2',
  title: 'Two requests at once over HTTP/2',
  about: 'How one connection serves two requests at once, and where a stream becomes a task.',
  stops: [
    stop(
      'TlsSettings::enable_h2',
      'HTTP/2 is offered',
      'A TLS listener offers protocols in its handshake (ALPN). This one offers h2 and http/1.1.',
    ),
    stop(
      'Server::run_forever',
      'The server starts',
      'As with any other service: a runtime, a task for the service, a task for each address.',
    ),
    stop(
      'Service::run_endpoint',
      'It listens',
      'The socket is an ordinary TCP socket; TLS comes later, for each connection.',
    ),
    stop(
      'UninitializedStream::handshake',
      'A client connects',
      'The new task begins with the handshake, not with a request: a slow handshake holds up nobody else.',
    ),
    stop(
      'Acceptor::tls_handshake',
      'The TLS handshake',
      'Certificates and keys are exchanged, and both sides settle on a protocol. The bytes on the wire view are those inside of TLS.',
    ),
    stop(
      '<T as ServerApp>::process_new',
      'Which protocol was it?',
      'The next call asks what the handshake settled on.',
    ),
    stop(
      'Ssl::selected_alpn_proto',
      'It is HTTP/2',
      '“out” has the answer: H2. So the connection is not given to an HTTP/1 session.',
      END,
    ),
    stop(
      'server::handshake',
      'The HTTP/2 handshake',
      'Both sides send their settings: how many streams, how large a window.',
      { n: 2 },
    ),
    stop(
      'HttpSession::from_h2_conn',
      'Waiting for streams',
      'The connection’s task does nothing but this: wait for the next stream, spawn a task for it, wait again.',
    ),
    stop(
      'HttpSession::from_h2_conn',
      'The first stream',
      'A request has come, whole: in HTTP/2 the head is there when the stream is.',
      END,
    ),
    stop(
      '<HttpProxy as HttpServerApp>::process_new_http',
      'A task for the stream',
      'From here on all is as with HTTP/1: the same function, the same phases. Only the session is another one.',
    ),
    stop(
      '<HttpProxy as HttpServerApp>::process_new_http',
      'The second stream',
      'Both requests came in one read, so its task starts as soon as the first one’s has nothing to do. Mind the task’s name in the tree.',
      { n: 2 },
    ),
    stop('<app as ProxyHttp>::upstream_peer', 'The first request’s peer', 'Each request asks for a peer of its own.'),
    stop(
      'l4::connect',
      'The first request waits',
      'Its task waits for the connection. The second request’s task goes on meanwhile: neither waits for the other.',
    ),
    stop(
      'ConnectionPool::get',
      'No connection to share',
      'The origin speaks HTTP/1.1, where a connection serves one request at a time. The first request’s connection is in use, so a second one is made.',
      { n: 2 },
    ),
    stop(
      'HttpSession::write_request_header',
      'From HTTP/2 to HTTP/1.1',
      'The request is written anew for the origin: the pseudo-fields of HTTP/2 become a request line and a Host field.',
    ),
    stop(
      'HttpSession::write_response_header',
      'Back to HTTP/2',
      'And the answer becomes frames of the stream that asked. Fields that HTTP/2 forbids, as Connection, are left out.',
    ),
    stop(
      'HttpProxy::finish',
      'The stream has ended',
      'Not the connection: that goes on, for it isn’t the request’s to close.',
    ),
  ],
};

const retry: Tour = {
  scenario: 'retry',
  title: 'An origin that refuses, and a second try',
  about: 'How an error comes up, who decides whether there is another try, and what the client sees of it.',
  stops: [
    stop('HttpSession::read_request', 'A request', 'An ordinary GET. What is to come, the client will not notice.'),
    stop('HttpProxy::process_request', 'The phases begin', 'As always. Below is a loop of at most sixteen tries.'),
    stop('<app as ProxyHttp>::request_filter', 'Nothing unusual yet', 'The filter lets the request go on.'),
    stop('HttpProxy::proxy_to_upstream', 'The first try', 'One try: choose a peer, connect, exchange.'),
    stop(
      '<app as ProxyHttp>::upstream_peer',
      'A bad choice',
      'The application chooses a port where nobody listens, to show what happens then.',
    ),
    stop('ConnectionPool::get', 'No connection waits', 'The pool has none for this key, as before.'),
    stop('ext::connect', 'Refused', 'The system refuses the connection at once.'),
    stop(
      'ext::connect',
      'The error begins',
      'The card shows Pingora’s error: its type, and the system’s error as its cause. Each call above may add what it knows.',
      END,
    ),
    stop('l4::connect', 'The error comes up', 'Here it was told which peer it was: that is the error’s context.', END),
    stop(
      'Connector::get_http_session',
      'And further up',
      'Nobody down here decides anything. The error only passes.',
      END,
    ),
    stop(
      '<app as ProxyHttp>::fail_to_connect',
      'Who decides: the application',
      'It is asked what to do with the error. No byte of the request was sent, so that another try does no harm.',
    ),
    stop(
      '<app as ProxyHttp>::fail_to_connect',
      'Another try',
      '“retry” is true now: the application has marked the error.',
      END,
    ),
    stop(
      'HttpProxy::proxy_to_upstream',
      'The first try is over',
      'It returns the error instead of throwing it: the loop above looks at “retry”.',
      END,
    ),
    stop('HttpProxy::proxy_to_upstream', 'The second try', 'The same function again, from the start.', { n: 2 }),
    stop('<app as ProxyHttp>::upstream_peer', 'A better choice', 'This time the load balancer is asked.', { n: 2 }),
    stop('l4::connect', 'It connects', 'The origin accepts.', { n: 2, end: true }),
    stop(
      'HttpSession::write_request_header',
      'The request is sent once',
      'Only now does a byte of the request go out.',
    ),
    stop(
      'HttpSession::write_response_header',
      'The client gets 200',
      'And nothing tells it that there were two tries.',
    ),
  ],
};

const gracefulShutdown: Tour = {
  scenario: 'graceful-shutdown',
  title: 'A server that ends without losing a request',
  about: 'What SIGTERM does, who hears of it, and what the server waits for.',
  stops: [
    stop('Server::main_loop', 'Waiting for a signal', 'The main task waits here for as long as the server runs.'),
    stop(
      'Service::run_endpoint',
      'The listener waits for two things',
      'A connection, or the end: whichever comes first.',
    ),
    stop('TransportStack::accept', 'It waits for a client', 'This wait is the one that the end will cut short.'),
    stop('<T as ServerApp>::process_new', 'A client comes', 'Its connection has a task of its own.'),
    stop('HttpSession::read_request', 'A request', 'An ordinary one.'),
    stop(
      'Session::set_keepalive',
      'Will the connection be kept?',
      'The session is told to keep the connection for a minute. A server that is ending would say no here.',
    ),
    stop('HttpProxy::process_request', 'It is served', 'To its end, before the signal comes.'),
    stop(
      'HttpSession::write_response_header',
      'The answer',
      'With Connection: keep-alive, since nothing is ending yet.',
    ),
    stop('ConnectionPool::put', 'The origin’s connection is kept', 'It waits for a next request, which won’t come.'),
    stop('HttpProxy::finish', 'The request is over', 'The client’s connection waits for the next one too.'),
    stop('HttpSession::read_request', 'The task waits for another request', 'This is where SIGTERM finds it.', {
      n: 2,
    }),
    stop(
      'Server::main_loop',
      'SIGTERM',
      'The main task wakes up and tells everybody through a watch: a value that many can wait on.',
      END,
    ),
    stop(
      'TransportStack::cleanup',
      'Nobody new',
      'The listener has left its loop. No new connection is accepted from here on.',
    ),
    stop('<T as ServerApp>::cleanup', 'The application is told', 'The service passes the end on to its application.'),
    stop(
      '<HttpProxy as HttpServerApp>::http_cleanup',
      'Those that wait',
      'Connections that only wait for a request are let go; those that are in one may end it, for as long as the grace period lasts. Then the process ends.',
    ),
  ],
};

const upgrade: Tour = {
  scenario: 'upgrade',
  title: 'Handing the sockets to a new process',
  about: 'What SIGQUIT does: a server is replaced by a newer one while clients connect. Here no new one comes.',
  stops: [
    stop(
      'Server::bootstrap',
      'Before anything listens',
      'A process that was started with --upgrade asks the old one for its listening sockets here. This is the old one.',
    ),
    stop('Server::load_fds', 'Nothing to take over', 'It wasn’t started as an upgrade.'),
    stop('Server::run_forever', 'The server runs', 'As any other.'),
    stop('Server::main_loop', 'Waiting for a signal', 'SIGQUIT means: a new process takes over.'),
    stop(
      'Service::run_endpoint',
      'A listening socket',
      'This socket is what would be handed on: with it a new process accepts the very same clients.',
    ),
    stop('ListenerEndpoint::listen', 'Bound, and remembered', 'Its descriptor is kept in a table by its address.'),
    stop('<T as ServerApp>::process_new', 'A client', 'It is served by this process.'),
    stop('HttpSession::read_request', 'A request', 'An ordinary GET.'),
    stop('HttpProxy::process_request', 'It is served', 'Nothing is special yet.'),
    stop('HttpSession::write_response_header', 'The answer', 'It has left before the signal.'),
    stop('HttpProxy::finish', 'The request is over', 'The connection waits for the next one.'),
    stop(
      'Fds::send_to_sock',
      'The handover',
      'The sockets are sent over a Unix socket, on which the new process should be waiting.',
    ),
    stop('transfer_fd::send_fds_to', 'Nobody is there', 'It tries several times, and waits in between.'),
    stop(
      'transfer_fd::send_fds_to',
      'It fails',
      'The error says why: there is no such socket. In Pingora 0.1.0 as here, the server ends all the same.',
      END,
    ),
    stop('Server::main_loop', 'The end begins', 'From here on it is a graceful end, as after SIGTERM.', END),
    stop(
      'TransportStack::cleanup',
      'The listener stops',
      'Had there been a new process, it would accept on the same socket by now, and no client would notice. What still runs may end.',
    ),
  ],
};

/** In the order in which one takes them. */
export const tours: readonly Tour[] = [h1, tlsH2, retry, gracefulShutdown, upgrade];

/** The scenarios in the order in which one learns them; others follow in their own order. */
export const COURSE: readonly string[] = [
  'h1',
  'keepalive',
  'post',
  'retry',
  'dead-upstream',
  'deny',
  'bad-request',
  'phases',
  'tls-h1',
  'tls-h2',
  'h2-upstream',
  'h2-to-h2',
  'graceful-shutdown',
  'upgrade',
];
