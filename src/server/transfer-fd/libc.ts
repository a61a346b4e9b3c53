/**
 * The few calls of the system's C library that hand file descriptors from process to process (`SCM_RIGHTS`), which
 * Node has not. They are made through koffi, which is loaded when the first of them is needed.
 *
 * Everything here is non-blocking: what would have to wait throws `EAGAIN`.
 */
import { createRequire } from 'node:module';
import { endianness, constants as os } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { ErrorType, PingoraError } from '../../error/lib.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_ATTACH_FILTER = 26;
const SIZEOF_SOCK_FPROG = 16;
const MSG_NOSIGNAL = 0x4000;
const MSG_CTRUNC = 0x8;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** Of `struct cmsghdr` on 64 bits: a length of 8 bytes, a level and a type of 4; what follows is aligned to 8. */
const CMSG_HEADER = 16;
/** A path and its final 0 have to fit in here. */
const SUN_PATH = 108;
const FD = 4;

/** `struct msghdr`, as koffi takes it. */
interface MsgHdr {
  name: null;
  namelen: number;
  iov: { base: Buffer; len: number }[];
  iovlen: number;
  control: Buffer;
  controllen: number;
  flags: number;
}

/** `struct sock_fprog`. */
interface SockFprog {
  len: number;
  filter: Buffer;
}

interface Functions {
  readonly errno: () => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Buffer, length: number) => number;
  readonly listen: (fd: number, backlog: number) => number;
  readonly accept4: (fd: number, address: null, length: null, flags: number) => number;
  readonly connect: (fd: number, address: Buffer, length: number) => number;
  readonly sendmsg: (fd: number, message: MsgHdr, flags: number) => number;
  readonly recvmsg: (fd: number, message: MsgHdr, flags: number) => number;
  readonly attachFilter: (fd: number, level: number, name: number, program: SockFprog, length: number) => number;
}

let functions: Functions | undefined;

/** Throws `InternalError` where sockets can't be handed over, and says why. */
export function loadLibc(): Functions {
  if (functions !== undefined) return functions;
  if (process.platform !== 'linux' || endianness() !== 'LE' || !/^(x64|arm64|riscv64|loong64)$/.test(process.arch)) {
    const here = `${process.platform} on ${process.arch}`;
    throw PingoraError.explain(ErrorType.InternalError, `sockets can be handed over on 64-bit Linux only, not ${here}`);
  }
  let koffi: typeof import('koffi');
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  } catch (error) {
    const context = 'handing over sockets needs the package "koffi", which is not installed (npm install koffi)';
    throw PingoraError.because(ErrorType.InternalError, context, error);
  }
  // the program itself: the C library that Node runs on, whichever that is
  const lib = koffi.load(null);
  const iovec = koffi.struct({ base: 'void *', len: 'size_t' });
  const msghdr = koffi.struct({
    name: 'void *',
    namelen: 'uint32_t',
    iov: koffi.pointer(iovec),
    iovlen: 'size_t',
    control: 'void *',
    controllen: 'size_t',
    flags: 'int',
  });
  const fprog = koffi.struct({ len: 'uint16_t', filter: 'void *' });
  functions = {
    errno: () => koffi.errno(),
    socket: lib.func('socket', 'int', ['int', 'int', 'int']),
    bind: lib.func('bind', 'int', ['int', 'void *', 'uint32_t']),
    listen: lib.func('listen', 'int', ['int', 'int']),
    accept4: lib.func('accept4', 'int', ['int', 'void *', 'void *', 'int']),
    connect: lib.func('connect', 'int', ['int', 'void *', 'uint32_t']),
    sendmsg: lib.func('sendmsg', 'intptr_t', ['int', koffi.pointer(msghdr), 'int']),
    recvmsg: lib.func('recvmsg', 'intptr_t', ['int', koffi.inout(koffi.pointer(msghdr)), 'int']),
    attachFilter: lib.func('setsockopt', 'int', ['int', 'int', 'int', koffi.pointer(fprog), 'uint32_t']),
  };
  return functions;
}

/** What a call returned; throws what it failed with, as Node's own errors are: with `code` and `syscall`. */
function checked(syscall: string, returned: number): number {
  if (returned >= 0) return returned;
  const errno = loadLibc().errno();
  const code = getSystemErrorName(-errno);
  throw Object.assign(new Error(`${syscall} ${code}`), { code, errno: -errno, syscall });
}

/** A Unix socket's address. Throws `ENAMETOOLONG`. */
function unixAddress(path: string): Buffer {
  const bytes = Buffer.from(`${path}\0`);
  if (bytes.length > SUN_PATH) {
    const code = 'ENAMETOOLONG';
    throw Object.assign(new Error(`${code}: ${path}`), { code, errno: -os.errno.ENAMETOOLONG, syscall: 'bind' });
  }
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, bytes]);
}

/** A Unix socket that waits for nothing. */
export function unixSocket(): number {
  return checked('socket', loadLibc().socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

export function bindUnix(fd: number, path: string): void {
  const address = unixAddress(path);
  checked('bind', loadLibc().bind(fd, address, address.length));
}

export function listen(fd: number, backlog: number): void {
  checked('listen', loadLibc().listen(fd, backlog));
}

export function accept(fd: number): number {
  return checked('accept', loadLibc().accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

export function connectUnix(fd: number, path: string): void {
  const address = unixAddress(path);
  checked('connect', loadLibc().connect(fd, address, address.length));
}

function message(data: Buffer, control: Buffer): MsgHdr {
  return {
    name: null,
    namelen: 0,
    iov: [{ base: data, len: data.length }],
    iovlen: 1,
    control,
    controllen: control.length,
    flags: 0,
  };
}

function align(length: number): number {
  return (length + 7) & ~7;
}

/** Send bytes, and copies of file descriptors with them. Returns how many bytes were sent. */
export function sendFds(fd: number, data: Buffer, fds: readonly number[]): number {
  const control = Buffer.alloc(fds.length === 0 ? 0 : CMSG_HEADER + align(fds.length * FD));
  if (fds.length > 0) {
    control.writeBigUInt64LE(BigInt(CMSG_HEADER + fds.length * FD), 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    for (const [i, sent] of fds.entries()) control.writeInt32LE(sent, CMSG_HEADER + i * FD);
  }
  return checked('sendmsg', loadLibc().sendmsg(fd, message(data, control), MSG_NOSIGNAL));
}

/** Receive bytes into `data`, and up to `most` file descriptors, which belong to the caller then. */
export function receiveFds(fd: number, data: Buffer, most: number): { bytes: number; fds: number[]; cut: boolean } {
  const control = Buffer.alloc(CMSG_HEADER + align(most * FD));
  const header = message(data, control);
  const bytes = checked('recvmsg', loadLibc().recvmsg(fd, header, MSG_CMSG_CLOEXEC));
  const fds: number[] = [];
  for (let at = 0; at + CMSG_HEADER <= header.controllen; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CMSG_HEADER) break;
    const isRights = control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS;
    for (let i = at + CMSG_HEADER; isRights && i + FD <= at + length; i += FD) fds.push(control.readInt32LE(i));
    at += align(length);
  }
  return { bytes, fds, cut: (header.flags & MSG_CTRUNC) !== 0 };
}

/** Drop what has SYN and not ACK, let everything else pass: classic BPF, five `struct sock_filter`. */
const NO_SYN: readonly [code: number, jt: number, jf: number, k: number][] = [
  [0x30, 0, 0, 13], // ldb [13]: the flags of the TCP header
  [0x54, 0, 0, 0x12], // and SYN | ACK
  [0x15, 0, 1, 0x02], // SYN alone?
  [0x06, 0, 0, 0], // drop
  [0x06, 0, 0, 0xffffffff], // pass
];

/**
 * Have a listening TCP socket take part in no new handshake. Those that have begun go on; a client that comes later
 * hears nothing, tries again after a second, and is refused once the socket is closed.
 */
export function beginNoHandshakes(fd: number): void {
  const filter = Buffer.alloc(NO_SYN.length * 8);
  for (const [i, [code, jt, jf, k]] of NO_SYN.entries()) {
    filter.writeUInt16LE(code, i * 8);
    filter.writeUInt8(jt, i * 8 + 2);
    filter.writeUInt8(jf, i * 8 + 3);
    filter.writeUInt32LE(k, i * 8 + 4);
  }
  const program = { len: NO_SYN.length, filter };
  checked('setsockopt', loadLibc().attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, SIZEOF_SOCK_FPROG));
}
