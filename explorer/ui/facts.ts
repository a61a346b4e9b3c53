/** What went in, came out and changed, and why a call failed, as elements. */
import type { Change, Facts, Failure } from '../trace.ts';
import { h } from './dom.ts';

function show(value: Facts[string]): Node {
  if (value === null) return h('span', { class: 'none' }, 'none');
  if (typeof value === 'boolean') return document.createTextNode(value ? 'yes' : 'no');
  if (!Array.isArray(value)) return h('code', {}, String(value));
  return value.length === 0
    ? h('span', { class: 'none' }, 'none')
    : h('span', { class: 'fields' }, ...value.map((line) => h('code', {}, line)));
}

/** A titled list of facts; nothing if there are none. */
export function factsList(title: string, facts: Facts | undefined): HTMLElement | false {
  if (facts === undefined || Object.keys(facts).length === 0) return false;
  const rows = Object.entries(facts).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, show(value))));
  return h('section', { class: 'facts' }, h('h3', {}, title), h('dl', {}, ...rows));
}

export function changesList(changed: readonly Change[] | undefined): HTMLElement | false {
  if (changed === undefined || changed.length === 0) return false;
  const rows = changed.map(({ what, from, to }) => {
    const sign = from === null ? '+' : to === null ? '−' : '±';
    const kind = from === null ? 'added' : to === null ? 'removed' : 'changed';
    return h(
      'li',
      { class: `change is-${kind}` },
      h('b', { title: kind }, sign),
      h('code', {}, what),
      from !== null && h('del', {}, from),
      to !== null && h('ins', {}, to),
    );
  });
  return h('section', { class: 'facts' }, h('h3', {}, 'changed'), h('ul', {}, ...rows));
}

/** The error, and below it its causes. */
export function failureBox(failure: Failure | undefined): HTMLElement | false {
  if (failure === undefined) return false;
  const causes: Node[] = [];
  for (let at: Failure | undefined = failure; at !== undefined; at = at.cause) {
    const side = at.source === undefined || at.source === 'Unset' ? '' : `${at.source} `;
    const retry = at.retry === true ? 'may be tried again' : at.retry === 'ReusedOnly' ? 'retry if reused' : false;
    causes.push(
      h(
        'li',
        {},
        h('b', {}, `${side}${at.type}`),
        retry !== false && h('small', {}, retry),
        (at.context ?? at.message) !== undefined && h('span', {}, at.context ?? at.message!),
      ),
    );
  }
  return h(
    'section',
    { class: 'failure' },
    h('h3', {}, causes.length > 1 ? 'failed, and why' : 'failed'),
    h('ol', {}, ...causes),
  );
}
