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

const shown = (key: string) => SHOWN[key] ?? key;

/** The names of keys; those with Shift are told in one. */
function names(keys: string[]): string[] {
  const shifted = keys.filter((key) => key.startsWith('Shift+')).map((key) => shown(key.slice('Shift+'.length)));
  const plain = keys.filter((key) => !key.startsWith('Shift+')).map(shown);
  return shifted.length === 0 ? plain : [...plain, 'Shift', shifted.join(' ')];
}

export function listKeys(keys: readonly Key[]): HTMLElement[] {
  return keys.flatMap(({ does, says }) => [
    h('dt', {}, ...names(Object.keys(does)).map((name) => h('kbd', {}, name))),
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
