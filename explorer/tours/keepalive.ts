import { END, stop, type Tour } from './stop.ts';

export const keepalive: Tour = {
  scenario: 'keepalive',
  title: 'A second request on the same connection',
  about: 'What is kept after a request, on either side, and why the second one connects to nobody.',
  onwards: { title: 'Compare: the origin closes the kept connection', with: 'closed-in-pool' },
  stops: [
    stop(
      'Service::handle_event',
      'One connection, a loop of requests',
      'A client has connected. This call lasts as long as its connection does: it serves one request after the other, as long as the connection may be kept. Here there will be two.',
    ),
    stop(
      'HttpSession::read_request',
      'The first request',
      'The bytes are on the wire. Mind the field Connection: the client would like to go on with this connection.',
    ),
    stop(
      'HttpSession::respect_keepalive',
      'May the client’s connection be kept?',
      'HTTP/1.1 keeps a connection unless one side says “close”. “out” has what was decided: it is kept, without a limit. The next calls give the wait for the next request a limit.',
      END,
    ),
    stop(
      '<app as ProxyHttp>::upstream_peer',
      'The peer, and its pool key',
      '“out” has the peer with its pool key: address, TLS, server name and what else a connection depends on. Remember the key: the second request will ask for the same.',
      END,
    ),
    stop(
      'ConnectionPool::get',
      'Nothing waits in the pool yet',
      'The pool is asked for a connection under that key. This is the server’s first request, and there is none.',
      { ...END, look: 'pool' },
    ),
    stop(
      'l4::connect',
      'So a connection is made',
      'One system call, and a wait until the origin has accepted: a round trip through the network before a byte of the request can be sent. With TLS it would be two or three.',
    ),
    stop(
      'HttpSession::write_request_header',
      'The request goes out on it',
      'The wire shows it going to the origin. Remember the number of the origin’s connection.',
      { look: 'connections' },
    ),
    stop(
      'HttpSession::read_response',
      'An answer whose end is known',
      'The answer has a Content-Length. So the proxy can tell where it ends without the origin closing the connection, and what comes after it belongs to another answer.',
      END,
    ),
    stop(
      'HttpSession::write_response_header',
      'The client has its answer',
      'The head goes out, and the body with it. “Changed” says what the proxy put into it, and the field Connection tells the client that it may go on.',
    ),
    stop(
      'HttpSession::reuse',
      'May the origin’s connection be kept?',
      'Only if the answer was read to its end, and neither side said “close”. “out” has the connection, so it may.',
      END,
    ),
    stop(
      'ConnectionPool::put',
      'It goes into the pool',
      'Under the key that you saw above. It isn’t closed and belongs to no request now. One connection waits (State).',
      { look: 'pool' },
    ),
    stop(
      'HttpSession::reuse',
      'And the client’s?',
      'The same question on the other side. The connection comes out of its session as it is, and is given back to the loop of the first stop.',
      { ...END, n: 2, chapter: '08' },
    ),
    stop(
      '<T as ServerApp>::process_new',
      'Once round the loop',
      'The same task, the same connection, a new session. Nothing is accepted, nobody shakes hands: all that lies between a client’s connecting and its first request is saved.',
      { n: 2, chapter: '08', look: 'tasks' },
    ),
    stop(
      'HttpSession::read_request',
      'Waiting for the second request',
      'The task waits here for a minute at most. What the client has sent meanwhile isn’t lost: it is read now.',
      { n: 2, chapter: '08' },
    ),
    stop(
      'ConnectionPool::idle_poll',
      'Somebody watches the pool',
      'A task of its own waits for the origin to close the connection that lies in the pool. Then it would be taken out, so that no request gets a dead one. Here the origin keeps it open.',
      { look: 'tasks' },
    ),
    stop(
      '<app as ProxyHttp>::upstream_peer',
      'The second request’s peer',
      'The hook is called for each request. There is one backend here: the peer is the same, and so is its pool key.',
      { ...END, n: 2 },
    ),
    stop(
      'ConnectionPool::get',
      'Found',
      'There is a connection under this key. It is taken out of the pool: while this request has it, no other one can get it.',
      { ...END, n: 2, look: 'pool' },
    ),
    stop(
      'connectors::test_reusable_stream',
      'Is it still alive?',
      'A look whether the origin has closed it or sent something that nobody asked for. It has not. There is no call of l4::connect below: this is why a second request needs no second connection.',
      { ...END, n: 2 },
    ),
    stop(
      'HttpSession::write_request_header',
      'Sent at once',
      'The second request goes out on the same connection as the first: look at its number and at what was written on it.',
      { n: 2, look: 'connections' },
    ),
    stop(
      'ConnectionPool::put',
      'And back again',
      'After the answer the connection is put back, for whoever asks for this peer next: another request of this client’s, or one of any other client’s.',
      { n: 2, look: 'pool' },
    ),
    stop(
      '<T as ServerApp>::process_new',
      'The client leaves',
      'The third time round, the read finds the end of the connection. “out” says that nothing is kept: the loop ends, and the task with it. The origin’s connection stays in the pool.',
      { ...END, n: 3, chapter: '08', look: 'pool' },
    ),
  ],
};
