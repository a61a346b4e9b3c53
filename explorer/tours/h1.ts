import { END, stop, type Tour } from './stop.ts';

export const h1: Tour = {
  scenario: 'h1',
  title: 'One request, from the first byte to the last',
  about: 'Where a request’s peer is chosen, what is sent to whom, and why a second request needs no second connection.',
  onwards: { title: 'See what a second request does', with: 'keepalive' },
  stops: [
    stop(
      'Server::run_forever',
      'A server starts',
      'This call never returns: it starts every service and then waits for a signal. The tree below shows what it called: a bold row with a coloured edge is a call that is going on, a grey one is still to come.',
    ),
    stop(
      'Server::run_service',
      'A service gets a runtime',
      'Each service runs on a runtime of its own. Here there is one service, the proxy, and a task is spawned for it: see “Tasks” under State.',
      { look: 'tasks' },
    ),
    stop(
      '<Service as Service>::start_service',
      'The service builds its listeners',
      'We are in the second task now. For each address that was added, a task is spawned that will listen there. This one has one address.',
      { look: 'tasks' },
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
      { look: 'tasks' },
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
      'The pool is asked for a connection with that key. This is the first request: nothing waits there, and a connection has to be made.',
      { look: 'pool' },
    ),
    stop(
      'l4::connect',
      'Connecting to the origin',
      'The task waits until the origin has accepted. From then on the proxy has two connections: the client’s and the origin’s. The second one shows under State once something was sent on it.',
      { look: 'connections' },
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
      { look: 'channels' },
    ),
    stop(
      'HttpSession::read_response',
      'The origin answers',
      'The upstream half reads the head of the response and puts it into the channel. The downstream half is not woken yet: more may come at once.',
      { look: 'channels' },
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
      { look: 'pool' },
    ),
    stop(
      'HttpProxy::finish',
      'The end of the request',
      'The application may log the request, and then the client’s connection goes back to the loop that reads the next request from it. That’s all. The button below shows what a second request does, beside this one.',
    ),
  ],
};
