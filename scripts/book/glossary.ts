/**
 * Links the words of the glossary where a chapter first uses them. `walkthrough/GLOSSARY.md` has a heading a word, and
 * under it, unseen, the word's other forms: `<!-- forms: sessions -->`; `forms only` if the word alone says something
 * else too. Nobody types these links: `npm run book` takes all of a chapter's away and puts them where they belong.
 */
import { anchors } from './check.ts';
import { KINDS } from './kinds.ts';

export const GLOSSARY = 'walkthrough/GLOSSARY.md';
const LINK = /\[([^\]]+)\]\(\.\.\/GLOSSARY\.md#[a-z0-9-]+\)/g;
/** What isn't prose: directives with what they made, comments, code, headings, quotations, links, tags. */
const NOT_PROSE = new RegExp(
  [
    `<!-- (?:${KINDS}):[\\s\\S]*?<!-- end -->`,
    /<!--(?:fn|rs) [\s\S]*?<!--\/(?:fn|rs)-->/.source,
    /<!--[\s\S]*?-->/.source,
    /^```[\s\S]*?^```/.source,
    /^ *#.*$/.source,
    /^>.*$/.source,
    /`[^`\n]+`/.source,
    /!?\[[^\]]*\]\([^)]*\)/.source,
    /<[^>]+>/.source,
  ].join('|'),
  'gm',
);

export interface Term {
  /** As in its heading. */
  word: string;
  anchor: string;
  /** The word and its other forms. */
  forms: string[];
}

/** The words of the glossary, the longest first. */
export function readTerms(glossary: string): Term[] {
  const terms: Term[] = [];
  for (const [, heading, only, given] of glossary.matchAll(/^### (.+)\n(?:<!-- forms( only)?: (.+) -->\n)?/gm)) {
    const word = heading!.replaceAll('`', '');
    const [anchor] = anchors(`### ${heading}\n`);
    const forms = given === undefined ? [] : given.split(';').map((form) => form.trim());
    terms.push({ word, anchor: anchor!, forms: only ? forms : [word, ...forms] });
  }
  return terms;
}

/** The pieces of a page, one after the other: prose or not. */
function pieces(markdown: string): { text: string; prose: boolean }[] {
  const found: { text: string; prose: boolean }[] = [];
  let at = 0;
  for (const match of markdown.matchAll(NOT_PROSE)) {
    found.push({ text: markdown.slice(at, match.index), prose: true }, { text: match[0], prose: false });
    at = match.index + match[0].length;
  }
  found.push({ text: markdown.slice(at), prose: true });
  return found;
}

/** A chapter with the first use of each word linked, and no other. */
export function linkTerms(markdown: string, terms: readonly Term[]): string {
  const plain = pieces(markdown.replace(LINK, '$1'));
  const anchorOf = new Map(terms.flatMap(({ forms, anchor }) => forms.map((form) => [form.toLowerCase(), anchor])));
  if (anchorOf.size === 0) return markdown;
  const all = [...anchorOf.keys()].sort((a, b) => b.length - a.length);
  const escaped = all.map((form) => form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(' ', '\\s'));
  const any = new RegExp(`(?<![\\w/-])(?:${escaped.join('|')})(?![\\w-])`, 'gi');
  const linked = new Set<string>();
  const link = (word: string) => {
    const anchor = anchorOf.get(word.toLowerCase().replace(/\s/g, ' '))!;
    if (linked.has(anchor)) return word;
    linked.add(anchor);
    return `[${word}](../GLOSSARY.md#${anchor})`;
  };
  // a word that is code, as `select!`, is a form with its quotes
  const linkCode = (text: string) => (anchorOf.has(text.toLowerCase()) ? link(text) : text);
  return plain.map(({ text, prose }) => (prose ? text.replace(any, link) : linkCode(text))).join('');
}

/** Words of the glossary that no chapter uses. */
export function unusedTerms(chapters: readonly string[], terms: readonly Term[]): string[] {
  const all = chapters.join('\n');
  return terms.filter(({ anchor }) => !all.includes(`GLOSSARY.md#${anchor})`)).map(({ word }) => word);
}
