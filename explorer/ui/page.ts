/** What the page has beside the trace: messages, colours, tabs, files that are dropped. */
import { byId, isDark } from './dom.ts';

export type Tab = 'calls' | 'code' | 'lanes' | 'phases' | 'wire' | 'state';

/** Say what is wrong, or with null that nothing is. */
export function showProblem(text: string | null): void {
  byId('problem').hidden = text === null;
  byId('problem').querySelector('span')!.textContent = text ?? '';
  byId('problem').querySelector('button')!.onclick = () => showProblem(null);
}

let toasting: ReturnType<typeof setTimeout> | undefined;

/** Say something that needs no answer. */
export function showToast(text: string): void {
  const toast = byId('toast');
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toasting);
  toasting = setTimeout(() => (toast.hidden = true), 2600);
}

export function toggleTheme(redraw: () => void): void {
  const theme = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem('explorer-theme', theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  redraw();
}

/** Which panel a phone shows; with `focus` the keyboard goes there too, on any screen. */
export function showTab(tab: Tab, redraw: () => void, focus = false): void {
  document.body.dataset.tab = tab;
  for (const button of document.querySelectorAll<HTMLElement>('[role=tab]')) {
    button.setAttribute('aria-selected', String(button.dataset.for === tab));
  }
  redraw();
  if (!focus) return;
  const target = {
    calls: '#tree',
    code: '#code',
    lanes: '#lanes',
    phases: '#phases button:enabled',
    wire: '#wire',
    state: '#state',
  }[tab];
  document.querySelector<HTMLElement>(target)?.focus();
}

/** Files that are dropped on the page or chosen with the button. */
export function onFiles(open: (file: File) => void): void {
  const input = byId<HTMLInputElement>('file');
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    if (file) open(file);
    // The same file may be chosen again, once it is mended.
    input.value = '';
  });
  const overlay = byId('dropping');
  const hasFile = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes('Files') ?? false;
  document.addEventListener('dragover', (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    overlay.hidden = false;
  });
  document.addEventListener('dragleave', ({ relatedTarget }) => {
    if (relatedTarget === null) overlay.hidden = true;
  });
  document.addEventListener('drop', (event) => {
    overlay.hidden = true;
    const file = event.dataTransfer?.files[0];
    if (!hasFile(event)) return;
    event.preventDefault();
    if (file) open(file);
  });
}
