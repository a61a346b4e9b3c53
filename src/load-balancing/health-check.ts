/**
 * Whether backends are well: the checks, and what is made of their results.
 *
 * Port of `pingora-load-balancing/src/health_check.rs`.
 */
import { Connector as HttpConnector } from '../connectors/http/mod.ts';
import { TransportConnector } from '../connectors/mod.ts';
import { ErrorType, PingoraError } from '../error/lib.ts';
import { RequestHeader, type ResponseHeader } from '../http/lib.ts';
import type { HttpSession } from '../protocols/http/client.ts';
import { ported, traced } from '../tracing/span.ts';
import { BasicPeer, HttpPeer } from '../upstreams/peer.ts';
import type { Backend } from './backend.ts';

const rust = ported('pingora-load-balancing/src/health_check.rs');

/** The address of a template, replaced by each backend's. */
const PLACEHOLDER = '0.0.0.0:1';

/** Default limit for connecting, and for each read. */
const TIMEOUT_MS = 1000;

/** So much of a body is read to its end; the connection of a longer one isn't kept. */
const MOST_BODY = 1024 * 1024;

/** Finds out whether a backend is well. */
export interface HealthCheck {
  /** Returns if the check passes, throws (or rejects) if it fails. */
  check(target: Backend): Promise<void>;
  /** How many checks in a row turn a backend healthy (`success`) or unhealthy. */
  healthThreshold(success: boolean): number;
}

/** Checks that a TCP connection, or a TLS one, can be established. */
@traced
export class TcpHealthCheck implements HealthCheck {
  /** How many checks in a row turn a backend healthy. Default: 1. */
  consecutiveSuccess = 1;
  /** How many failed checks in a row turn a backend unhealthy. Default: 1. */
  consecutiveFailure = 1;
  /**
   * How to connect: the timeouts (connecting: 1 s), the address to connect from; with a `serverName`, over TLS. Its
   * address is a placeholder.
   */
  peerTemplate: BasicPeer;
  private connector: TransportConnector;

  private constructor() {
    this.peerTemplate = BasicPeer.new(PLACEHOLDER);
    this.peerTemplate.options.connectionTimeout = TIMEOUT_MS;
    this.connector = TransportConnector.new();
  }

  /** A check that connects, waits one second at most, and closes. One result turns a backend's health either way. */
  @rust.method
  static new(): TcpHealthCheck {
    return new TcpHealthCheck();
  }

  /** A check that makes a TLS handshake too, and verifies the certificate for the name `sni`. */
  @rust.method
  static newTls(sni: string): TcpHealthCheck {
    const check = new TcpHealthCheck();
    check.peerTemplate.serverName = sni;
    return check;
  }

  /** Connect with `connector`, as one with CAs of its own. */
  @rust.method
  setConnector(connector: TransportConnector): void {
    this.connector = connector;
  }

  /** How many checks in a row turn a backend healthy, or unhealthy. */
  @rust.method('<TcpHealthCheck as HealthCheck>::health_threshold')
  healthThreshold(success: boolean): number {
    return success ? this.consecutiveSuccess : this.consecutiveFailure;
  }

  /** Throws as connecting does. */
  @rust.method('<TcpHealthCheck as HealthCheck>::check')
  async check(target: Backend): Promise<void> {
    const peer = this.peerTemplate.clone();
    peer._address = target.addr;
    const [stream] = await this.connector.getStream(peer);
    stream.destroy();
  }
}

/** Checks that a request gets the response that is expected. */
@traced
export class HttpHealthCheck implements HealthCheck {
  /** How many checks in a row turn a backend healthy. Default: 1. */
  consecutiveSuccess = 1;
  /** How many failed checks in a row turn a backend unhealthy. Default: 1. */
  consecutiveFailure = 1;
  /**
   * How to connect: the scheme, the timeouts (connecting: 1 s, reading: 1 s), the address to connect from. Its address
   * is a placeholder.
   */
  peerTemplate: HttpPeer;
  /**
   * Whether a connection may serve several checks. Default: no, because a connection that is established hides what a
   * firewall or a load balancer in between does to new ones.
   */
  reuseConnection = false;
  /** The request. Default: a GET of `/` with the host's name. */
  req: RequestHeader;
  /** Throws if a response is not the one expected. Default: any but 200 fails. */
  validator: ((response: ResponseHeader) => void) | undefined = undefined;
  /** The port to check, where that isn't the backend's own. */
  portOverride: number | undefined = undefined;
  private connector: HttpConnector;

  private constructor(host: string, tls: boolean) {
    this.req = RequestHeader.build('GET', '/');
    this.req.appendHeader('Host', host);
    this.peerTemplate = HttpPeer.new(PLACEHOLDER, tls, tls ? host : '');
    this.peerTemplate.options.connectionTimeout = TIMEOUT_MS;
    this.peerTemplate.options.readTimeout = TIMEOUT_MS;
    this.connector = HttpConnector.new();
  }

  /** A check that sends `host` as the Host field and, with `tls`, as the server's name. */
  @rust.method
  static new(host: string, tls: boolean): HttpHealthCheck {
    return new HttpHealthCheck(host, tls);
  }

  /** Connect with `connector`, as one with CAs of its own. */
  @rust.method
  setConnector(connector: HttpConnector): void {
    this.connector = connector;
  }

  /** How many checks in a row turn a backend healthy, or unhealthy. */
  @rust.method('<HttpHealthCheck as HealthCheck>::health_threshold')
  healthThreshold(success: boolean): number {
    return success ? this.consecutiveSuccess : this.consecutiveFailure;
  }

  /** Throws as connecting, writing and reading do, `non 200 code`, or what the validator throws. */
  @rust.method('<HttpHealthCheck as HealthCheck>::check')
  async check(target: Backend): Promise<void> {
    const peer = this.peerTemplate.clone();
    peer._address = this.portOverride === undefined ? target.addr : target.addr.withPort(this.portOverride);
    const [session] = await this.connector.getHttpSession(peer);
    let kept = false;
    try {
      const whole = await this.exchange(session, peer);
      if (whole && this.reuseConnection) {
        // 0.1.0 doesn't ask the response, and then no HTTP/1 connection is ever kept
        session.h1?.respectKeepalive();
        this.connector.releaseHttpSession(session, peer, peer.options.idleTimeout);
        kept = true;
      }
    } finally {
      if (!kept) {
        session.shutdown();
        // a connection that nobody holds: 0.1.0 drops it here
        session.h2?.close();
      }
    }
  }

  /** Send the request and judge the response. True when its body was read to the end. */
  private async exchange(session: HttpSession, peer: HttpPeer): Promise<boolean> {
    const { readTimeout } = peer.options;
    await session.writeRequestHeader(this.req.clone());
    // a server may wait for the end of an HTTP/2 request, which 0.1.0 leaves open
    if (session.h2 !== undefined) await session.finishRequestBody();
    if (readTimeout !== undefined) session.setReadTimeout(readTimeout);

    // RFC 9110 15.2: any number of informational responses may come before the answer; 101 is one
    let response: ResponseHeader;
    do {
      await session.readResponseHeader();
      response = session.responseHeader()!;
    } while (response.isInformational && response.status !== 101);

    if (this.validator !== undefined) this.validator(response);
    else if (response.status !== 200) {
      const type = ErrorType.newCode('non 200 code', response.status);
      throw PingoraError.explain(type, 'during http healthcheck');
    }

    // The read timeout starts anew with every byte, so that by itself it doesn't end a body that never ends.
    const enough = performance.now() + (readTimeout ?? TIMEOUT_MS);
    let size = 0;
    for (;;) {
      const data = await session.readResponseBody();
      if (data === undefined) return true;
      size += data.length;
      if (size > MOST_BODY || performance.now() > enough) return false;
    }
  }
}

/** Starts healthy and enabled. */
@traced
export class Health {
  private healthy = true;
  /** Whether it may be used, however healthy it is. */
  private enabled = true;
  /** How many checks in a row have said the opposite of `healthy`. */
  private consecutive = 0;

  clone(): Health {
    const copy = new Health();
    copy.healthy = this.healthy;
    copy.enabled = this.enabled;
    copy.consecutive = this.consecutive;
    return copy;
  }

  /** Both healthy and enabled. */
  @rust.method
  ready(): boolean {
    return this.healthy && this.enabled;
  }

  @rust.method
  enable(enabled: boolean): void {
    this.enabled = enabled;
  }

  /** Take note of a check's result; true when it was the last of `flipThreshold` in a row that turn the health over. */
  @rust.method
  observeHealth(health: boolean, flipThreshold: number): boolean {
    if (health === this.healthy) {
      this.consecutive = 0;
      return false;
    }
    if (++this.consecutive < flipThreshold) return false;
    this.healthy = health;
    this.consecutive = 0;
    return true;
  }
}
