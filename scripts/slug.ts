/** The anchor that GitHub gives a heading, which is plain text here; the second one of a page gets `-1`. */
export function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

/** The anchor of a heading beside those that are `taken`; it is one of them then. */
export function anchorOf(heading: string, taken: Set<string>): string {
  const first = slug(heading);
  let anchor = first;
  for (let n = 1; taken.has(anchor); n++) anchor = `${first}-${n}`;
  taken.add(anchor);
  return anchor;
}
