import { END, stop, type Tour } from './stop.ts';

export const tlsH2: Tour = {
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
      { look: 'tasks' },
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
      { chapter: '11', look: 'tasks' },
    ),
    stop(
      '<HttpProxy as HttpServerApp>::process_new_http',
      'The second stream',
      'Both requests came in one read, so its task starts as soon as the first one’s has nothing to do. Mind the task’s name in the tree.',
      { n: 2, chapter: '11', look: 'tasks' },
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
      { n: 2, look: 'pool' },
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
