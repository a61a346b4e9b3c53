/** The map of the book: the calls that chapters are about, each on its task, as a trace has them. */
import { childrenOf, type TraceDocument, type TraceSpan } from '../../src/tracing/model.ts';

/** A call on the map, by Pingora's name, with the chapter that tells of it and what it does. */
export interface Place {
  fn: string;
  /** The beginning of a chapter's folder: `04`. */
  chapter: string;
  does: string;
}

const html = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
/** A task's name without what differs from run to run. */
const taskName = (name: string) => name.replace(/ \S*(?::\d+|\.sock)$/, '');

/**
 * The map as lines of HTML, for a `<pre>`: the first call of each place, under the one that led to it.
 *
 * `linkTo`: a chapter's address. Throws for a place that the trace hasn't.
 */
export function drawMap(trace: TraceDocument, places: readonly Place[], linkTo: (chapter: string) => string): string {
  const wanted = new Map(places.map((place) => [place.fn, place]));
  const seen = new Set<string>();
  const shown = new Set<number>();
  const children = childrenOf(trace.spans);
  const names = new Map(trace.tasks.map(({ id, name }) => [id, taskName(name)]));
  const lines: string[] = [];
  const visit = (span: TraceSpan, depth: number): void => {
    const place = seen.has(span.fn) ? undefined : wanted.get(span.fn);
    let level = depth;
    if (place !== undefined) {
      seen.add(span.fn);
      if (!shown.has(span.task)) {
        const mark = shown.size === 0 ? '●' : '⇢';
        lines.push(`    ${'  '.repeat(level - 1)}${mark} <b>task “${html(names.get(span.task)!)}”</b>`);
        shown.add(span.task);
      }
      const link = `<a href="${linkTo(place.chapter)}">${place.chapter}</a>`;
      lines.push(`${link}  ${'  '.repeat(level)}${html(span.fn)}  <i>${html(place.does)}</i>`);
      level++;
    }
    // what a call spawned is one step further right than the task's heading
    for (const child of children.get(span.id) ?? []) visit(child, child.task === span.task ? level : level + 1);
  };
  for (const root of children.get(null) ?? []) visit(root, 1);
  const lost = places.find(({ fn }) => !seen.has(fn));
  if (lost !== undefined) throw new Error(`${trace.scenario} has no call of ${lost.fn}`);
  return lines.join('\n');
}
