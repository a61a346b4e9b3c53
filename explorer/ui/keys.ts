/** The keys, what they do, and the list of them that `?` shows. */
import { h } from './dom.ts';

export interface Key {
  says: string;
  /** By `KeyboardEvent.key`; `Shift+ArrowLeft` and the like for those with Shift that make no other letter. */
  does: Record<string, () => void>;
}

const SHOWN: Record<string, string> = {
  ArrowRight: '→',
  ArrowLeft: '←',
  ArrowUp: '↑',
  ArrowDown: '↓',
  ' ': 'space',
};

const shown = (key: string) =>
  key
    .split(/(?<=.)\+/)
    .map((part) => SHOWN[part] ?? part)
    .join(' ');

export function listKeys(keys: readonly Key[]): HTMLElement[] {
  return keys.flatMap(({ does, says }) => [
    h('dt', {}, ...Object.keys(does).map((key) => h('kbd', {}, shown(key)))),
    h('dd', {}, says),
  ]);
}

/** Whoever writes or chooses there needs the keys. */
function wantsKeys(target: Element | null, key: string): boolean {
  if (target === null) return false;
  if (target.closest('dialog[open], textarea, select, input:not([type=range])')) return true;
  return (key === ' ' || key === 'Enter') && target.closest('button, a[href]') !== null;
}

export function listen(keys: readonly Key[]): void {
  const byKey = new Map(keys.flatMap(({ does }) => Object.entries(does)));
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const { key, shiftKey } = event;
    const name = shiftKey && key.startsWith('Arrow') ? `Shift+${key}` : key;
    const run = byKey.get(name);
    if (run === undefined || document.querySelector('dialog[open]')) return;
    if (wantsKeys(event.target as Element | null, key)) return;
    event.preventDefault();
    run();
  });
}
