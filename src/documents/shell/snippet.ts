/**
 * A piece of a text around the first of some words, for people.
 */

/** Length of a snippet, and of what stands in it before the word, in UTF-16 code units. */
const LENGTH_MAX = 120;
const BEFORE_LENGTH_MAX = 40;

const HALF_CHARACTERS = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

/** `terms` are folded as `wordsOf` folds them. A text without any of them gives its beginning. */
export function snippetOf(text: string, terms: readonly string[]): string {
  const folded = text.toLowerCase();
  let at = -1;
  for (const term of terms) {
    const found = folded.indexOf(term);
    if (found >= 0 && (at < 0 || found < at)) at = found;
  }
  let start = Math.max(0, at - BEFORE_LENGTH_MAX);
  // Not in the middle of a word, nor of a character.
  if (start > 0) start = Math.min(text.indexOf(" ", start) + 1 || start, at);
  const piece = text.slice(start, start + LENGTH_MAX).replace(HALF_CHARACTERS, "");
  return piece.replace(/\s+/g, " ").trim();
}
