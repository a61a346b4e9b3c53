/**
 * The address of a socket: an IP address and port, or the path of a Unix domain socket.
 *
 * Port of `pingora-core/src/protocols/l4/socket.rs`.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { ErrorType, PingoraError } from '../../error/lib.ts';

/** Linux has room for 108 bytes in `sun_path`, the last one for the terminating zero. */
const MAX_UDS_PATH = 107;

function v4Bytes(ip: string): Uint8Array {
  return Uint8Array.from(ip.split('.'), Number);
}

function v6Bytes(ip: string): Uint8Array {
  // a dotted tail stands for the last two groups
  const dotted = ip.lastIndexOf('.') < 0 ? -1 : ip.lastIndexOf(':') + 1;
  let text = ip;
  if (dotted > 0) {
    const [a, b, c, d] = v4Bytes(ip.slice(dotted)) as unknown as [number, number, number, number];
    text = `${ip.slice(0, dotted)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', tail] = text.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  const bytes = new Uint8Array(16);
  groups.forEach((group, i) => {
    const value = Number.parseInt(group, 16);
    bytes[2 * i] = value >> 8;
    bytes[2 * i + 1] = value & 0xff;
  });
  return bytes;
}

/** The one way to write an IPv6 address: RFC 5952, with section 5's mixed form for addresses mapped from IPv4. */
function v6Text(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
  }
  // RFC 5952 4.2: the longest run of at least two zero groups is shortened, the first of those equally long
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
    if (run > 0) i += run - 1;
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

/** An address to connect to or listen on. It doesn't change; {@link SocketAddr.withPort} makes another one. */
export class SocketAddr {
  /** An IP address and port, or a Unix domain socket. */
  readonly kind: 'inet' | 'unix';
  /** 4 or 6; undefined for a Unix domain socket. */
  readonly family: 4 | 6 | undefined;
  /** The IP address, in its canonical form and without brackets; empty for a Unix domain socket. */
  readonly ip: string;
  /** The port; 0 for a Unix domain socket. */
  readonly port: number;
  /** The path of a Unix domain socket; empty for an IP address. */
  readonly path: string;
  /** The zone of a link-local IPv6 address, as an interface's number; 0 for none. */
  readonly scopeId: number;
  readonly #bytes: Uint8Array;
  readonly #text: string;

  private constructor(family: 4 | 6 | undefined, bytes: Uint8Array, text: string, port: number, scopeId: number) {
    this.kind = family === undefined ? 'unix' : 'inet';
    this.family = family;
    this.ip = family === undefined ? '' : text;
    this.path = family === undefined ? text : '';
    this.port = port;
    this.scopeId = scopeId;
    this.#bytes = bytes;
    const zone = scopeId === 0 ? '' : `%${scopeId}`;
    this.#text = family === undefined ? text : family === 4 ? `${text}:${port}` : `[${text}${zone}]:${port}`;
  }

  /** An IP address and a port; undefined if `ip` is no IP address or `port` no port. */
  static inet(ip: string, port: number): SocketAddr | undefined {
    if (!Number.isInteger(port) || port < 0 || port > 65535) return undefined;
    if (isIPv4(ip)) return new SocketAddr(4, v4Bytes(ip), ip, port, 0);
    const [address = '', zone] = ip.split('%');
    if (!isIPv6(address)) return undefined;
    if (zone !== undefined && !(/^\d+$/.test(zone) && Number(zone) <= 0xffffffff)) return undefined;
    const bytes = v6Bytes(address);
    return new SocketAddr(6, bytes, v6Text(bytes), port, Number(zone ?? 0));
  }

  /** A Unix domain socket's path. Throws `BindError` for a path that can't be one. */
  static unix(path: string): SocketAddr {
    const bytes = Buffer.from(path);
    if (bytes.includes(0) || bytes.length > MAX_UDS_PATH) {
      const cause = new Error(
        bytes.includes(0)
          ? 'paths must not contain interior null bytes'
          : 'path must be shorter than libc::sockaddr_un.sun_path',
      );
      throw PingoraError.because(ErrorType.BindError, 'invalid UDS path', cause);
    }
    return new SocketAddr(undefined, bytes, path, 0, 0);
  }

  /** `1.2.3.4:80` or `[::1]:80`; undefined for anything else. */
  static parseInet(text: string): SocketAddr | undefined {
    const parts = /^(?:\[([^\]]*)\]|([0-9.]+)):(\d+)$/.exec(text);
    if (parts === null) return undefined;
    const ip = parts[1] ?? parts[2]!;
    // brackets are for IPv6, and only for it
    if ((parts[1] !== undefined) !== ip.includes(':')) return undefined;
    return SocketAddr.inet(ip, Number(parts[3]));
  }

  /** An IP address and port, or else the path of a Unix domain socket: what isn't the one is taken for the other. */
  static parse(text: string): SocketAddr {
    return SocketAddr.parseInet(text) ?? SocketAddr.unix(text);
  }

  /** The same IP address with another port; a Unix domain socket stays as it is. */
  withPort(port: number): SocketAddr {
    if (this.kind === 'unix' || port === this.port) return this;
    return new SocketAddr(this.family, this.#bytes, this.ip, port, this.scopeId);
  }

  /** Below zero, zero or above: IPv4, then IPv6, then Unix; by address, by port. */
  compare(other: SocketAddr): number {
    const rank = (this.family ?? 9) - (other.family ?? 9);
    if (rank !== 0) return rank;
    return compareBytes(this.#bytes, other.#bytes) || this.port - other.port || this.scopeId - other.scopeId;
  }

  /** Whether both lead to the same place: kind, address, port and zone. */
  equals(other: SocketAddr): boolean {
    return this === other || (this.kind === other.kind && this.#text === other.#text);
  }

  /** `1.2.3.4:80`, `[::1]:80`, or the path. */
  toString(): string {
    return this.#text;
  }
}
