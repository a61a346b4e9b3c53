/** The edge between the lanes and what is above them: drawn by hand, or moved by the arrow keys. */
import { byId } from './dom.ts';

const KEY = 'explorer-lanes';
const LEAST = 12;
const MOST = 70;
const USUAL = 22;
const STEP = 4;

const STEPS = new Map([
  ['ArrowUp', STEP],
  ['ArrowDown', -STEP],
  ['Home', MOST],
  ['End', -MOST],
]);

/** `moved` is told when panels have other sizes. */
export function makeSplitter(moved: () => void): void {
  const splitter = byId('splitter');
  const work = byId('work');
  let percent = USUAL;
  const set = (to: number, keep = true) => {
    percent = Math.max(LEAST, Math.min(MOST, Math.round(to)));
    work.style.setProperty('--lanes', `${percent}%`);
    splitter.setAttribute('aria-valuenow', String(percent));
    if (keep) {
      try {
        localStorage.setItem(KEY, String(percent));
      } catch {
        // Without storage the choice lasts as long as the page.
      }
    }
    moved();
  };
  try {
    const kept = Number(localStorage.getItem(KEY));
    if (kept >= LEAST && kept <= MOST) set(kept, false);
  } catch {
    // as above
  }
  splitter.addEventListener('keydown', (event) => {
    const by = STEPS.get(event.key);
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    set(percent + by);
  });
  splitter.addEventListener('dblclick', () => set(USUAL));
  splitter.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    splitter.setPointerCapture(event.pointerId);
    splitter.focus();
  });
  splitter.addEventListener('pointermove', (event) => {
    if (!splitter.hasPointerCapture(event.pointerId)) return;
    const { bottom, height } = work.getBoundingClientRect();
    set(((bottom - event.clientY) / height) * 100);
  });
}
