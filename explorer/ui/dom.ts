/** Making elements. Text goes in as text only: what a trace says is never HTML. */

type Child = Node | string | null | false;
type Props = Record<string, unknown>;

function setProps(element: HTMLElement | SVGElement, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setProps(element, props);
  for (const child of children) if (child !== null && child !== false) element.append(child);
  return element;
}

/** The element of the page with this id: the page is ours, so that it is there. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Calls of the function it returns become one call of `draw` before the next frame. */
export function onceAFrame(draw: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** The hue of a task's colour, which is the same in every panel. */
const HUES = [214, 162, 28, 282, 338, 96, 190, 48, 250, 6, 130, 310];
export function hueOf(task: number): number {
  return HUES[(task - 1) % HUES.length]!;
}

export function isDark(): boolean {
  const { theme } = document.documentElement.dataset;
  return theme === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : theme === 'dark';
}
