import { END, stop, type Tour } from './stop.ts';

export const retry: Tour = {
  scenario: 'retry',
  title: 'An origin that refuses, and a second try',
  about: 'How an error comes up, who decides whether there is another try, and what the client sees of it.',
  stops: [
    stop('HttpSession::read_request', 'A request', 'An ordinary GET. What is to come, the client will not notice.'),
    stop('HttpProxy::process_request', 'The phases begin', 'As always. Below is a loop of at most sixteen tries.', {
      chapter: '18',
    }),
    stop('<app as ProxyHttp>::request_filter', 'Nothing unusual yet', 'The filter lets the request go on.'),
    stop('HttpProxy::proxy_to_upstream', 'The first try', 'One try: choose a peer, connect, exchange.', {
      chapter: '18',
    }),
    stop(
      '<app as ProxyHttp>::upstream_peer',
      'A bad choice',
      'The application chooses a port where nobody listens, to show what happens then.',
    ),
    stop('ConnectionPool::get', 'No connection waits', 'The pool has none for this key.', { look: 'pool' }),
    stop('ext::connect', 'Refused', 'The system refuses the connection at once.'),
    stop(
      'ext::connect',
      'The error begins',
      'The card shows Pingora’s error: its type, and the system’s error as its cause. Each call above may add what it knows.',
      { ...END, chapter: '17' },
    ),
    stop('l4::connect', 'The error comes up', 'Here it was told which peer it was: that is the error’s context.', {
      ...END,
      chapter: '17',
    }),
    stop('Connector::get_http_session', 'And further up', 'Nobody down here decides anything. The error only passes.', {
      ...END,
      chapter: '17',
    }),
    stop(
      '<app as ProxyHttp>::fail_to_connect',
      'Who decides: the application',
      'It is asked what to do with the error. No byte of the request was sent: another try does no harm.',
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
      { ...END, chapter: '18' },
    ),
    stop('HttpProxy::proxy_to_upstream', 'The second try', 'The same function again, from the start.', {
      n: 2,
      chapter: '18',
    }),
    stop('<app as ProxyHttp>::upstream_peer', 'A better choice', 'This time the load balancer is asked.', { n: 2 }),
    stop('l4::connect', 'It connects', 'The origin accepts.', { n: 2, end: true }),
    stop(
      'HttpSession::write_request_header',
      'The request is sent once',
      'Only now does a byte of the request go out.',
      { look: 'connections' },
    ),
    stop(
      'HttpSession::write_response_header',
      'The client gets 200',
      'And nothing tells it that there were two tries.',
    ),
  ],
};
