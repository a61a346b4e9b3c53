/**
 * A proxy server and what it is made of: a port of Pingora 0.1.0.
 *
 * Start with {@link Server}, a {@link ProxyHttp} of your own and {@link httpProxyService}.
 *
 * @module pingora-traced
 */
export { HttpServer, type Response, ServeHttp } from './apps/http-app.ts';
export type { App, HttpServerApp, ServerApp } from './apps/mod.ts';
export { Connector } from './connectors/http/mod.ts';
export { ConnectorOptions, TransportConnector } from './connectors/mod.ts';
export { type ErrorSource, ErrorType, PingoraError, type RetryType } from './error/lib.ts';
export { HMap, RequestHeader, ResponseHeader, type Version } from './http/lib.ts';
export {
  Listeners,
  type ServerAddress,
  type TcpSocketOptions,
  type TlsAccept,
  TlsSettings,
} from './listeners/mod.ts';
export { type ServiceDiscovery, Static } from './load-balancing/discovery.ts';
export { DnsDiscovery } from './load-balancing/discovery-dns.ts';
export { type HealthCheck, HttpHealthCheck, TcpHealthCheck } from './load-balancing/health-check.ts';
export { Backend, Backends, LoadBalancer } from './load-balancing/lib.ts';
export { Consistent, FNVHash, Random, RoundRobin } from './load-balancing/selection/mod.ts';
export { isLevel, type Level, Log, setLog } from './log.ts';
export type { Digest, SslDigest, TimingDigest } from './protocols/digest.ts';
export type { H2Options } from './protocols/h2/server.ts';
export { HttpTask } from './protocols/http/mod.ts';
export { Session as ServerSession } from './protocols/http/server.ts';
export { SocketAddr } from './protocols/l4/socket.ts';
export { ALPN, type Stream } from './protocols/mod.ts';
export { ProxyCounts } from './proxy/counts.ts';
export { HttpProxy, httpProxyService, type ProxyExtras, ProxyHttp, Session } from './proxy/lib.ts';
export { spawn } from './runtime/lib.ts';
export type { ShutdownWatch } from './runtime/sync.ts';
export { shared, workerNumber } from './runtime/worker.ts';
export { Opt, ServerConf } from './server/configuration/mod.ts';
export { Server } from './server/mod.ts';
export { type BackgroundService, backgroundService, GenBackgroundService } from './services/background.ts';
export { type EndpointEvents, Service } from './services/listening.ts';
export type { Service as AnyService } from './services/mod.ts';
export { exportTrace } from './tracing/export.ts';
export { Recorder } from './tracing/recorder.ts';
export { BasicPeer, HttpPeer, type Peer, PeerOptions, type Tracer } from './upstreams/peer.ts';
