import { END, stop, type Tour } from './stop.ts';

export const gracefulShutdown: Tour = {
  scenario: 'graceful-shutdown',
  title: 'A server that ends without losing a request',
  about: 'What SIGTERM does, who hears of it, and what the server waits for.',
  stops: [
    stop('Server::main_loop', 'Waiting for a signal', 'The main task waits here for as long as the server runs.', {
      chapter: '21',
      look: 'tasks',
    }),
    stop(
      'Service::run_endpoint',
      'The listener waits for two things',
      'A connection, or the end: whichever comes first.',
    ),
    stop('TransportStack::accept', 'It waits for a client', 'This wait is the one that the end will cut short.'),
    stop('<T as ServerApp>::process_new', 'A client comes', 'Its connection has a task of its own.', { look: 'tasks' }),
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
    stop('ConnectionPool::put', 'The origin’s connection is kept', 'It waits for a next request, which won’t come.', {
      look: 'pool',
    }),
    stop('HttpProxy::finish', 'The request is over', 'The client’s connection waits for the next one too.'),
    stop(
      'HttpSession::read_request',
      'The task waits for another request',
      'This client leaves without one, and its task ends with it. Had it stayed, SIGTERM would find the task here.',
      {
        n: 2,
        chapter: '08',
        look: 'tasks',
      },
    ),
    stop(
      'Server::main_loop',
      'SIGTERM',
      'The main task wakes up and tells everybody through a watch: a value that many can wait on.',
      { ...END, chapter: '21' },
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
