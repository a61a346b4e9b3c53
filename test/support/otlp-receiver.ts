/** A receiver of OTLP over HTTP, as a collector has one: it decodes what is posted, and refuses what isn't OTLP. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { onTestFinished } from 'vitest';

/** Of opentelemetry-proto's trace/v1, common/v1 and resource/v1, the fields that a span of ours can have. */
const PROTO = `
syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Scope { string name = 1; string version = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Event events = 11; Status status = 15; fixed32 flags = 16;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
message Response { PartialSuccess partial_success = 1; }
message PartialSuccess { int64 rejected_spans = 1; string error_message = 2; }
`;
const { root } = protobuf.parse(PROTO);
const Request = root.lookupType('Request');
const Response = root.lookupType('Response');

type Facts = Record<string, string | number | boolean>;

/** A span as it was received; times in nanoseconds since 1970, ids in hexadecimal. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Facts;
  readonly events: { name: string; time: bigint; attributes: Facts }[];
  readonly status: number;
}

/** One POST. */
export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly resource: Facts;
  readonly spans: ReceivedSpan[];
}

/** A document of OTLP, from JSON or from what the protobuf was decoded to: they have the same names. */
export function readOtlp(document: any): Omit<Received, 'headers'> {
  const facts = (pairs: any[] = []): Facts =>
    Object.fromEntries(
      pairs.map(({ key, value }) => {
        if (value.intValue !== undefined) return [key, Number(value.intValue)];
        return [key, value.stringValue ?? value.boolValue ?? value.doubleValue];
      }),
    );
  const [{ resource, scopeSpans }] = document.resourceSpans;
  const spans = scopeSpans[0].spans.map((span: any) => ({
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? '',
    name: span.name,
    kind: span.kind,
    start: BigInt(span.startTimeUnixNano),
    end: BigInt(span.endTimeUnixNano),
    attributes: facts(span.attributes),
    events: (span.events ?? []).map(({ name, timeUnixNano, attributes }: any) => ({
      name,
      time: BigInt(timeUnixNano),
      attributes: facts(attributes),
    })),
    status: span.status?.code ?? 0,
  }));
  return { resource: facts(resource.attributes), spans };
}

function fromProtobuf(body: Buffer): unknown {
  const document: any = Request.toObject(Request.decode(body), { longs: String, bytes: Buffer });
  for (const { scopeSpans } of document.resourceSpans) {
    for (const span of scopeSpans[0].spans) {
      for (const id of ['traceId', 'spanId', 'parentSpanId']) span[id] &&= span[id].toString('hex');
    }
  }
  return document;
}

/** The receiver, gone when the test has ended. */
export class OtlpReceiver {
  /** Answers with it how many spans it refused of a request it took, if that isn't 0. */
  rejects = 0;
  readonly received: Received[] = [];
  private heard: () => void = () => {};
  private readonly server = createServer((request, response) => {
    this.take(request).then(
      ({ status, answer }) => {
        response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end(answer);
        this.heard();
      },
      () => response.destroy(),
    );
  });

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.server.listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    onTestFinished(() => receiver.stop());
    return receiver;
  }

  /** Its base address. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The next request that it takes, or one that it took and that was not asked for. */
  async next(): Promise<Received> {
    while (this.received.length === 0) {
      await new Promise<void>((heard) => {
        this.heard = heard;
      });
    }
    return this.received.shift()!;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async take(request: IncomingMessage): Promise<{ status: number; answer: Uint8Array | string }> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (request.url !== '/v1/traces') return { status: 404, answer: 'no such signal' };
    if (request.method !== 'POST') return { status: 405, answer: '' };
    const type = request.headers['content-type'];
    if (type !== 'application/x-protobuf' && type !== 'application/json') return { status: 415, answer: '' };
    try {
      const sent = Buffer.concat(pieces);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
      const document = type === 'application/json' ? JSON.parse(body.toString()) : fromProtobuf(body);
      this.received.push({ headers: request.headers, ...readOtlp(document) });
    } catch (error) {
      return { status: 400, answer: String(error) };
    }
    const partial = { rejectedSpans: this.rejects, errorMessage: 'too many' };
    const answer = this.rejects === 0 ? {} : { partialSuccess: partial };
    return { status: 200, answer: Response.encode(Response.fromObject(answer)).finish() };
  }
}
