/** The call tree. Keys are the page's business (keys.ts); here are rows, clicks and what a screen reader hears. */
import { summaryOf } from '../../src/formats/summary.ts';
import { duration } from '../format.ts';
import { h, hueOf } from './dom.ts';
import type { Host, Opened, View } from './view.ts';
import { VirtualList } from './virtual.ts';

const ROW = 24;

export class TreeView implements View {
  readonly #host: Host;
  readonly #root: HTMLElement;
  readonly #list: VirtualList;
  #opened: Opened | null = null;
  #names = new Map<number, string>();
  #deepest = 0;
  #step = 0;

  constructor(host: Host, root: HTMLElement) {
    this.#host = host;
    this.#root = root;
    this.#list = new VirtualList(root, ROW, (row) => this.#row(row));
    root.addEventListener('click', (event) => this.#clicked(event));
    new ResizeObserver(() => this.#indent()).observe(root);
  }

  open(opened: Opened): void {
    this.#opened = opened;
    const { steps, tree } = opened;
    this.#names = new Map(steps.trace.tasks.map(({ id, name }) => [id, name]));
    this.#deepest = 0;
    for (let i = 0; i < steps.spans.length; i++) this.#deepest = Math.max(this.#deepest, tree.depthOf(i));
    this.#root.scrollTop = 0;
    this.#indent();
    this.laidOut();
  }

  /** Deep trees get a smaller step, so that the deepest call still has most of the panel for its name. */
  #indent(): void {
    const room = (this.#root.clientWidth * 0.33) / Math.max(1, this.#deepest);
    this.#root.style.setProperty('--indent', `${Math.max(1, Math.min(14, room)).toFixed(2)}px`);
  }

  /** Something was folded or unfolded. */
  laidOut(): void {
    this.#list.setCount(this.#opened!.tree.rows.length);
    this.#list.refresh();
  }

  update(step: number): void {
    const { steps, tree } = this.#opened!;
    this.#step = step;
    const span = steps.spanAt(step);
    tree.reveal(span);
    this.#list.setCount(tree.rows.length);
    this.#list.reveal(tree.rowOf(span)!);
    this.#list.refresh();
    // The row is in the document now, unless the panel is hidden.
    if (document.getElementById(`call-${span}`)) this.#root.setAttribute('aria-activedescendant', `call-${span}`);
    else this.#root.removeAttribute('aria-activedescendant');
  }

  refresh(): void {
    if (this.#opened === null) return;
    this.#indent();
    this.laidOut();
    this.update(this.#step);
  }

  get page(): number {
    return this.#list.page;
  }

  /** Fold or unfold the call at the current step; where there is nothing to fold, its caller. */
  toggle(span: number): void {
    const { steps, tree } = this.#opened!;
    const target = tree.canFold(span) ? span : tree.callerOf(span);
    if (target === null || !tree.fold(target)) return;
    if (tree.rowOf(span) === null) this.#host.go(steps.beginOf(target));
    this.laidOut();
  }

  #clicked(event: MouseEvent): void {
    const target = event.target as Element;
    const row = target.closest<HTMLElement>('[data-span]');
    if (row === null || this.#opened === null) return;
    const span = Number(row.dataset.span);
    if (target.closest('.twist') && this.#opened.tree.canFold(span)) {
      // What is folded away can't stay the current call.
      const { steps, tree } = this.#opened;
      tree.fold(span);
      if (tree.rowOf(steps.spanAt(this.#step)) === null) this.#host.go(steps.beginOf(span));
      this.laidOut();
    } else this.#host.go(this.#opened.steps.beginOf(span), 'jump');
  }

  #row(row: number): HTMLElement {
    const { steps, tree } = this.#opened!;
    const span = tree.rows[row]!;
    const { fn, task, status, start, end, rust } = steps.spans[span]!;
    const isCurrent = steps.spanAt(this.#step) === span;
    const hasEnded = isCurrent && steps.isEnd(this.#step);
    const state = steps.stateOf(span, this.#step);
    const canFold = tree.canFold(span);
    const { position, of } = tree.placeOf(span);
    const taskName = this.#names.get(task) ?? '';
    const spawned = steps.isSpawned(span);
    const split = fn.lastIndexOf('::');
    const summary = summaryOf(steps.spans[span]!);
    const time = end === null ? 'never ended' : duration(end - start);
    return h(
      'div',
      {
        id: `call-${span}`,
        class: `call is-${state}${isCurrent ? ' is-current' : ''} status-${status}`,
        role: 'treeitem',
        'data-span': span,
        'aria-level': tree.depthOf(span) + 1,
        'aria-setsize': of,
        'aria-posinset': position,
        'aria-selected': isCurrent ? 'true' : 'false',
        'aria-expanded': canFold ? String(!tree.isFolded(span)) : undefined,
        title: `${fn}\n${taskName} · ${time}${summary === undefined ? '' : `\n${summary}`}`,
        style: `--depth:${tree.depthOf(span)};--hue:${hueOf(task)}`,
      },
      // the spaces and what isn't seen are for who hears the row
      h('span', { class: canFold ? `twist${tree.isFolded(span) ? ' is-folded' : ''}` : 'leaf' }),
      spawned && h('span', { class: 'spawn' }, tree.isFirstOfTask(span) ? taskName : ''),
      ' ',
      h(
        'span',
        { class: 'fn' },
        split > 0 ? h('span', { class: 'owner' }, fn.slice(0, split + 2)) : null,
        h('span', { class: 'name' }, split > 0 ? fn.slice(split + 2) : fn),
      ),
      ' ',
      rust?.file === 'app' && h('span', { class: 'badge own' }, 'app'),
      ' ',
      status === 'error' && h('span', { class: 'badge error' }, 'error'),
      status === 'cancelled' && h('span', { class: 'badge cancelled' }, 'cancelled'),
      ' ',
      hasEnded && h('span', { class: 'badge returned' }, 'returned'),
      ' ',
      summary !== undefined && state !== 'ahead' && h('span', { class: 'summary' }, summary),
      ' ',
      h('span', { class: 'took' }, end === null ? '…' : time),
      end === null && h('span', { class: 'sr' }, ' never ended'),
      state === 'ahead' && h('span', { class: 'sr' }, ' not called yet'),
    );
  }
}
