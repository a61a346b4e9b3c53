/** Which of the words somebody most likely meant, for errors. */
import { lazily } from './optional.ts';

const levenshtein = lazily<typeof import('fastest-levenshtein')>('fastest-levenshtein');

/** Up to `most` of `words` that look like `word`, the nearest first. */
export function nearest(word: string, words: readonly string[], most = 3): string[] {
  const { distance } = levenshtein();
  const limit = Math.max(2, Math.floor(word.length / 2));
  return words
    .map((candidate) => {
      const part = word.length > 1 && (candidate.includes(word) || word.includes(candidate));
      return { candidate, far: part ? 1 : distance(word.toLowerCase(), candidate.toLowerCase()) };
    })
    .filter(({ far }) => far <= limit)
    .sort((a, b) => a.far - b.far)
    .slice(0, most)
    .map(({ candidate }) => candidate);
}
