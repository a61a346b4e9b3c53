import { END, stop, type Tour } from './stop.ts';

export const upgrade: Tour = {
  scenario: 'upgrade',
  title: 'Handing the sockets to a new process',
  about: 'What SIGQUIT does: a server is replaced by a newer one while clients connect. Here no new one comes.',
  stops: [
    stop(
      'Server::bootstrap',
      'Before anything listens',
      'A process that was started with --upgrade asks the old one for its listening sockets here. This is the old one.',
      { chapter: '21' },
    ),
    stop('Server::load_fds', 'Nothing to take over', 'It wasn’t started as an upgrade.'),
    stop('Server::run_forever', 'The server runs', 'As any other.'),
    stop('Server::main_loop', 'Waiting for a signal', 'SIGQUIT means: a new process takes over.', { chapter: '21' }),
    stop(
      'Service::run_endpoint',
      'A listening socket',
      'This socket is what would be handed on: with it a new process accepts the very same clients.',
    ),
    stop('ListenerEndpoint::listen', 'Bound, and remembered', 'Its descriptor is kept in a table by its address.', {
      chapter: '21',
    }),
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
    stop('Server::main_loop', 'The end begins', 'From here on it is a graceful end, as after SIGTERM.', {
      ...END,
      chapter: '21',
    }),
    stop(
      'TransportStack::cleanup',
      'The listener stops',
      'Had there been a new process, it would accept on the same socket by now, and no client would notice. What still runs may end.',
    ),
  ],
};
