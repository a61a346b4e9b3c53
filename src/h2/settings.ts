/** SETTINGS (RFC 9113 6.5). */
import { get32, MAX_31 } from './frame.ts';
import type { Limits } from './limits.ts';
import type { Options } from './options.ts';
import { H2Error, Reason } from './reason.ts';

/** The identifiers of settings (RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1). */
export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  ENABLE_CONNECT_PROTOCOL: 8,
  NO_RFC7540_PRIORITIES: 9,
} as const;

// what counts as long as nothing else was said (RFC 9113 6.5.2)
export const DEFAULT_WINDOW = 65_535;
export const DEFAULT_FRAME = 16_384;
const DEFAULT_TABLE = 4096;

/** What one end has said of itself, or what counts as long as it hasn't. */
export class Settings {
  headerTableSize = DEFAULT_TABLE;
  /** The smallest that the last SETTINGS frame had for it, which may say it more than once (RFC 7541 4.2). */
  smallestTableSize = DEFAULT_TABLE;
  enablePush = true;
  maxConcurrentStreams = Infinity;
  initialWindowSize = DEFAULT_WINDOW;
  maxFrameSize = DEFAULT_FRAME;
  maxHeaderListSize = Infinity;
  enableConnectProtocol = false;

  /** Take over the pairs of a SETTINGS frame's payload. `fromServer`: who sends them. */
  read(bytes: Buffer, start: number, end: number, fromServer: boolean): void {
    this.smallestTableSize = this.headerTableSize;
    for (let pos = start; pos < end; pos += 6) {
      this.set((bytes[pos]! << 8) | bytes[pos + 1]!, get32(bytes, pos + 2), fromServer);
    }
  }

  private set(id: number, value: number, fromServer: boolean): void {
    switch (id) {
      case Setting.HEADER_TABLE_SIZE:
        this.headerTableSize = value;
        this.smallestTableSize = Math.min(this.smallestTableSize, value);
        break;
      case Setting.ENABLE_PUSH:
        // RFC 9113 6.5.2; a server has no say in it
        if (value > 1 || (fromServer && value !== 0)) throw refused(Reason.PROTOCOL_ERROR, 'ENABLE_PUSH');
        this.enablePush = value === 1;
        break;
      case Setting.MAX_CONCURRENT_STREAMS:
        this.maxConcurrentStreams = value;
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        // RFC 9113 6.5.2
        if (value > MAX_31) throw refused(Reason.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE');
        this.initialWindowSize = value;
        break;
      case Setting.MAX_FRAME_SIZE:
        // RFC 9113 6.5.2
        if (value < DEFAULT_FRAME || value > 16_777_215) throw refused(Reason.PROTOCOL_ERROR, 'MAX_FRAME_SIZE');
        this.maxFrameSize = value;
        break;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.maxHeaderListSize = value;
        break;
      case Setting.ENABLE_CONNECT_PROTOCOL:
        // RFC 8441 3: it can't be taken back
        if (value > 1 || (value === 0 && this.enableConnectProtocol)) {
          throw refused(Reason.PROTOCOL_ERROR, 'ENABLE_CONNECT_PROTOCOL');
        }
        this.enableConnectProtocol = value === 1;
        break;
      case Setting.NO_RFC7540_PRIORITIES:
        // RFC 9218 2.1; nothing follows from it, for frames of priorities are ignored anyway
        if (value > 1) throw refused(Reason.PROTOCOL_ERROR, 'NO_RFC7540_PRIORITIES');
        break;
      default:
      // RFC 9113 6.5.2: what isn't known is ignored
    }
  }
}

function refused(reason: number, what: string): H2Error {
  return H2Error.goaway(reason, `the value of SETTINGS_${what}`);
}

/** What this end says of itself: pairs of setting and value. What is as by default isn't said. */
export function ownSettings(options: Options, limits: Limits, isServer: boolean): [id: number, value: number][] {
  const { headerTableSize = DEFAULT_TABLE, initialWindowSize = DEFAULT_WINDOW, maxFrameSize = DEFAULT_FRAME } = options;
  const pairs: [number, number][] = [];
  if (isServer) {
    pairs.push([Setting.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams]);
    if (options.enableConnectProtocol) pairs.push([Setting.ENABLE_CONNECT_PROTOCOL, 1]);
  } else pairs.push([Setting.ENABLE_PUSH, 0]);
  if (headerTableSize !== DEFAULT_TABLE) pairs.push([Setting.HEADER_TABLE_SIZE, headerTableSize]);
  if (initialWindowSize !== DEFAULT_WINDOW) pairs.push([Setting.INITIAL_WINDOW_SIZE, initialWindowSize]);
  if (maxFrameSize !== DEFAULT_FRAME) pairs.push([Setting.MAX_FRAME_SIZE, maxFrameSize]);
  pairs.push([Setting.MAX_HEADER_LIST_SIZE, limits.maxHeaderListSize]);
  return pairs;
}
