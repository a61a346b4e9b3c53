/**
 * Tracing: record what a program calls, request by request, with each call's place here and in Pingora's source.
 *
 * @module pingora-traced/tracing
 */
export type { Level } from '../formats/levels.ts';
export { type Format, type FormatOptions, formats } from '../formats/mod.ts';
export { intoOtlp, OtlpError } from '../live/endpoint.ts';
export { intoFolder } from '../live/folder.ts';
export { type Sample, type SampledRequest, Sampler } from '../live/sampler.ts';
export { TraceUi } from '../live/ui.ts';
export type { EventOptions } from '../tracing/events.ts';
export { exportTrace, PINGORA } from '../tracing/export.ts';
export type {
  BytesEvent,
  Change,
  ChannelEvent,
  Facts,
  Failure,
  FrameEvent,
  Phase,
  PoolEvent,
  Side,
  StateEvent,
  Status,
  TraceConnection,
  TraceDocument,
  TraceEvent,
  TraceSpan,
  TraceTask,
  WakeEvent,
} from '../tracing/model.ts';
export {
  type Limits,
  Recorder,
  type RecorderOptions,
  type Site,
  type Span,
  type Task,
} from '../tracing/recorder.ts';
export type { Place } from '../tracing/sites.ts';
