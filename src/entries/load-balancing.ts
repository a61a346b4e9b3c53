/**
 * Load balancing: backends that are found, checked, and chosen among, with or without a proxy.
 *
 * @module pingora-traced/load-balancing
 */
export { Bucket, Continuum, type Cursor } from '../ketama/lib.ts';
export { BackendSet } from '../load-balancing/backend-set.ts';
export { type Discovered, type ServiceDiscovery, Static, type ToSocketAddrs } from '../load-balancing/discovery.ts';
export { DnsDiscovery, type DnsName, type Resolver } from '../load-balancing/discovery-dns.ts';
export { type HealthCheck, HttpHealthCheck, TcpHealthCheck } from '../load-balancing/health-check.ts';
export { Backend, Backends, LoadBalancer } from '../load-balancing/lib.ts';
/** What makes numbers of keys, for {@link Weighted}. */
export * as algorithms from '../load-balancing/selection/algorithms.ts';
export { KetamaHashing, OwnedNodeIterator } from '../load-balancing/selection/consistent.ts';
export {
  type AlgorithmClass,
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
  type U64,
} from '../load-balancing/selection/mod.ts';
export { Weighted, WeightedIterator } from '../load-balancing/selection/weighted.ts';
export { SocketAddr } from '../protocols/l4/socket.ts';
