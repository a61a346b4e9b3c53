export interface Tracer {
  onConnected(): void;
  onDisconnected(): void;
}
