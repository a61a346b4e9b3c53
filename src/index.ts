/**
 * A proxy server and what it is made of: a port of Pingora 0.1.0.
 *
 * Start with {@link Server}, a {@link ProxyHttp} of your own and {@link httpProxyService}.
 *
 * @module pingora-traced
 */
export { type App, HttpServer, type Response, ServeHttp } from './apps/http-app.ts';
export type { HttpServerApp, ServerApp } from './apps/mod.ts';
export { PrometheusHttpApp, PrometheusServer, type Registry, setRegistry } from './apps/prometheus-http-app.ts';
export { Connector } from './connectors/http/mod.ts';
export { type ConnectorConf, ConnectorOptions, TransportConnector } from './connectors/mod.ts';
export { type Cause, type ErrorSource, ErrorType, PingoraError, type RetryType } from './error/lib.ts';
export { HMap, RequestHeader, ResponseHeader, type Version } from './http/lib.ts';
export { splitAddress } from './listeners/l4.ts';
export {
  Listeners,
  type ServerAddress,
  type TcpSocketOptions,
  type TlsAccept,
  TlsSettings,
} from './listeners/mod.ts';
export { type Discovered, type ServiceDiscovery, Static, type ToSocketAddrs } from './load-balancing/discovery.ts';
export { DnsDiscovery, type DnsName, type Resolver } from './load-balancing/discovery-dns.ts';
export { type HealthCheck, HttpHealthCheck, TcpHealthCheck } from './load-balancing/health-check.ts';
export { Backend, BackendSet, Backends, LoadBalancer } from './load-balancing/lib.ts';
export {
  type BackendIter,
  type BackendSelection,
  Consistent,
  FNVHash,
  FVNHash,
  type Key,
  Random,
  RoundRobin,
  type Selection,
  type SelectionAlgorithm,
} from './load-balancing/selection/mod.ts';
export { isLevel, type Level, Log, setLog } from './log.ts';
export { ResponseCompression, ResponseCompressionBuilder } from './modules/http/compression.ts';
export { type HttpModule, type HttpModuleBuilder, HttpModuleCtx, HttpModules } from './modules/http/mod.ts';
export type { Digest, ProxyDigest, SslDigest, TimingDigest } from './protocols/digest.ts';
export type { H2Options } from './protocols/h2/server.ts';
export { ResponseCompressionCtx } from './protocols/http/compression/mod.ts';
export { HttpTask } from './protocols/http/mod.ts';
export type { BodyRate, BodyRates } from './protocols/http/pace.ts';
export { Session as ServerSession } from './protocols/http/server.ts';
export { SocketAddr } from './protocols/l4/socket.ts';
export { ALPN, type Stream } from './protocols/mod.ts';
export { ProxyCounts } from './proxy/counts.ts';
export { HttpProxy, httpProxyService, type MaybePromise, type ProxyExtras, ProxyHttp, Session } from './proxy/lib.ts';
export type { Awaitable, Future } from './runtime/future.ts';
export { spawn } from './runtime/lib.ts';
export { PENDING, type Poll } from './runtime/poll.ts';
export { Notify, type ShutdownWatch, Watch, WatchReceiver } from './runtime/sync.ts';
export type { AwaitableFuture } from './runtime/task.ts';
export { shared, workerNumber } from './runtime/worker.ts';
export { Opt, ServerConf } from './server/configuration/mod.ts';
export { Server } from './server/mod.ts';
export { Fds, type ListenFds, type TransferOptions } from './server/transfer-fd/mod.ts';
export type { ConnectionLimits } from './services/admission.ts';
export { type BackgroundService, backgroundService, GenBackgroundService } from './services/background.ts';
export { type EndpointEvents, Service } from './services/listening.ts';
export type { Service as AnyService } from './services/mod.ts';
export { Elapsed, sleep, timeout } from './timeout/lib.ts';
export { exportTrace } from './tracing/export.ts';
export { Recorder } from './tracing/recorder.ts';
export {
  BasicPeer,
  HttpPeer,
  type Peer,
  PeerOptions,
  Proxy,
  type Scheme,
  type TcpKeepalive,
  type Tracer,
} from './upstreams/peer.ts';
export { CertKey } from './utils/mod.ts';
export { MissingPackage } from './utils/optional.ts';
