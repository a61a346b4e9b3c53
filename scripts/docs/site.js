/**
 * Of typedoc's navigation, which a script of its own makes: a group that can be opened has its link inside of what opens
 * it, and neither a keyboard nor a screen reader can tell the two apart. Here the link stands before the group.
 */
(() => {
  const nav = document.getElementById('tsd-nav-container');
  if (nav === null) return;

  /** @param {HTMLAnchorElement} link */
  const takeOut = (link) => {
    const summary = link.parentElement;
    const details = summary.parentElement;
    const row = details.parentElement;
    // its text stays where it was, unseen, so that the row is as high as the link
    const room = document.createElement('span');
    room.className = 'site-nav-room';
    room.setAttribute('aria-hidden', 'true');
    room.append(...[...link.childNodes].map((node) => node.cloneNode(true)));
    summary.append(room);
    summary.setAttribute('aria-label', `What is in ${link.textContent}`);
    row.classList.add('site-nav-group');
    link.classList.add('site-nav-link');
    details.before(link);
  };

  const all = () => {
    for (const link of nav.querySelectorAll('summary > a')) takeOut(link);
  };
  all();
  new MutationObserver(all).observe(nav, { childList: true, subtree: true });
})();
