/**
 * The system's errors in the words in which Rust's `std::io::Error` prints them, so that logs can be searched for what
 * people know: `Connection reset by peer (os error 104)`, where Node says `read ECONNRESET`.
 *
 * The port's own.
 */

/** The words of `strerror` in the C library, for what connecting, reading, writing, binding and files end with. */
const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  EADDRINUSE: 'Address already in use',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EAFNOSUPPORT: 'Address family not supported by protocol',
  ECONNABORTED: 'Software caused connection abort',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EHOSTDOWN: 'Host is down',
  EHOSTUNREACH: 'No route to host',
  EINVAL: 'Invalid argument',
  EMFILE: 'Too many open files',
  ENETDOWN: 'Network is down',
  ENETUNREACH: 'Network is unreachable',
  ENFILE: 'Too many open files in system',
  ENOBUFS: 'No buffer space available',
  ENOENT: 'No such file or directory',
  ENOMEM: 'Cannot allocate memory',
  ENOTCONN: 'Transport endpoint is not connected',
  EPERM: 'Operation not permitted',
  EPIPE: 'Broken pipe',
  EPROTOTYPE: 'Protocol wrong type for socket',
  ETIMEDOUT: 'Connection timed out',
};

/** What an error that is no {@link PingoraError} says of itself in a chain of causes. */
export function display(error: NodeJS.ErrnoException): string {
  const { code, errno } = error;
  const words = code !== undefined && Object.hasOwn(WORDS, code) ? WORDS[code] : undefined;
  return words === undefined || errno === undefined ? error.message : `${words} (os error ${-errno})`;
}
