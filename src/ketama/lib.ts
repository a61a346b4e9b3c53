/**
 * Consistent hashing, so that few keys change their server when a server comes or goes.
 *
 * The ring is nginx's (`hash … consistent`): every server has 160 points a unit of weight on a circle of 32-bit
 * numbers, and a key belongs to the server of the first point at or after the key's own hash.
 *
 * Port of `pingora-ketama/src/lib.rs`.
 */
import type { SocketAddr } from '../protocols/l4/socket.ts';
import { ported, traced } from '../tracing/span.ts';
import { crc32, crc32Word } from './crc32.ts';

const rust = ported('pingora-ketama/src/lib.rs');

/** Points a unit of weight, as in nginx. */
const POINT_MULTIPLE = 160;

/** A point is sorted as one number: 32 bits of hash above 21 bits of server, which a double holds exactly. */
const NODE_BITS = 2 ** 21;

/** A server and its weight. */
@traced
export class Bucket {
  /** Where the point leads. */
  readonly node: SocketAddr;
  /** Its share of the points. */
  readonly weight: number;

  private constructor(node: SocketAddr, weight: number) {
    this.node = node;
    this.weight = weight;
  }

  /** The share of keys that `node` gets is its `weight` among all. Throws for a weight of zero. */
  @rust.method
  static new(node: SocketAddr, weight: number): Bucket {
    if (weight === 0) throw new RangeError('weight must be at least one');
    return new Bucket(node, weight);
  }
}

/** A place on the ring. */
export interface Cursor {
  /** The point that comes next. */
  idx: number;
}

/** The ring. */
@traced
export class Continuum {
  /** The points in order; the server of each is in `nodes`. */
  private readonly hashes: Uint32Array;
  private readonly nodes: Uint32Array;
  private readonly addrs: readonly SocketAddr[];

  private constructor(hashes: Uint32Array, nodes: Uint32Array, addrs: readonly SocketAddr[]) {
    this.hashes = hashes;
    this.nodes = nodes;
    this.addrs = addrs;
  }

  /** A ring of these servers. Where two have a point in common, it is the earlier one's. */
  @rust.method
  static new(buckets: readonly Bucket[]): Continuum {
    if (buckets.length > NODE_BITS) throw new RangeError(`more than ${NODE_BITS} servers on a ring`);
    const points = new Float64Array(buckets.reduce((sum, bucket) => sum + bucket.weight, 0) * POINT_MULTIPLE);
    let at = 0;
    for (const [node, bucket] of buckets.entries()) {
      const base = crc32(Buffer.from(`${bucket.node.ip}\0${bucket.node.port}`, 'latin1'));
      let hash = 0;
      for (let left = bucket.weight * POINT_MULTIPLE; left > 0; left--) {
        // each point is hashed from the one before it
        hash = crc32Word(hash, base);
        points[at++] = hash * NODE_BITS + node;
      }
    }
    points.sort();

    const hashes = new Uint32Array(points.length);
    const nodes = new Uint32Array(points.length);
    let kept = 0;
    for (const point of points) {
      const hash = Math.floor(point / NODE_BITS);
      if (kept > 0 && hashes[kept - 1] === hash) continue;
      hashes[kept] = hash;
      nodes[kept++] = point % NODE_BITS;
    }
    return new Continuum(
      hashes.slice(0, kept),
      nodes.slice(0, kept),
      buckets.map((bucket) => bucket.node),
    );
  }

  /** How many points are on the ring. */
  get length(): number {
    return this.hashes.length;
  }

  /** The place of the point that `input` belongs to; 0 on an empty ring. */
  @rust.method
  nodeIdx(input: Uint8Array): number {
    const hash = crc32(input);
    const hashes = this.hashes;
    let low = 0;
    let high = hashes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (hashes[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    // past the last point the circle begins anew
    return low === hashes.length ? 0 : low;
  }

  /** The server that `hashKey` belongs to; undefined on an empty ring. */
  @rust.method
  node(hashKey: Uint8Array): SocketAddr | undefined {
    const node = this.nodes[this.nodeIdx(hashKey)];
    return node === undefined ? undefined : this.addrs[node];
  }

  /** The servers of the points from that of `hashKey` on, round and round; a server comes as often as its points. */
  @rust.method
  nodeIter(hashKey: Uint8Array): IterableIterator<SocketAddr> {
    return this.walk({ idx: this.nodeIdx(hashKey) });
  }

  private *walk(cursor: Cursor): Generator<SocketAddr, undefined> {
    for (let addr = this.getAddr(cursor); addr !== undefined; addr = this.getAddr(cursor)) yield addr;
  }

  /** The server at `cursor`, which moves on by one point; undefined on an empty ring. */
  getAddr(cursor: Cursor): SocketAddr | undefined {
    const node = this.nodes[cursor.idx];
    if (node === undefined) return undefined;
    cursor.idx = (cursor.idx + 1) % this.nodes.length;
    return this.addrs[node];
  }
}
