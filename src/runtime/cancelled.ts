/**
 * Thrown into a wait that lost its race: what Rust does without a trace when it drops a future. A span that ends with
 * it is `cancelled`, not `error`; the recorder, which knows nothing of the port, tells it by its name.
 */
export class Cancelled extends Error {
  override readonly name = 'Cancelled';
  constructor(what = 'the wait was cancelled') {
    super(what);
  }
}
