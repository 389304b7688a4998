/**
 * The words of a text, in any script, as terms: what one peer counts, all must count alike.
 *
 * A word is what Unicode calls one (`Intl.Segmenter`): "don't" and "3.14" are words, a sequence of Han
 * characters is cut by a dictionary, punctuation and emoji are none. Terms are compared without regard to
 * case and to compatibility forms: NFKC, then lower case by Unicode's own table, never by a locale's.
 *
 * The segmenter takes time with the square of its text's length. So it is given pieces: what lies between
 * two characters at which every word ends, such as spaces and brackets. Most pieces are plain words of
 * ASCII and need no segmenter; others come again and again and are remembered, up to a limit. A piece that
 * is longer than any word is cut; in Markdown that is an image written as text.
 *
 * Deliberately absent: stop words, stems and synonyms. A frequency is what was counted.
 *
 * Source: Unicode Standard Annex #29, "Unicode Text Segmentation", section 4.
 */
import { TERM_LENGTH_MAX } from "../core/limits.ts";

const segmenter = new Intl.Segmenter("und", { granularity: "word" });

/** At each of these a word ends, whatever stands beside it: none joins letters or digits in UAX #29. */
const SEPARATORS = /[\s!#$%&()*+\-/<=>?@[\\\]^`{|}~。、，！？「」（）]+/u;

const PLAIN_WORD = /^[a-z0-9]+$/;

/** A longer piece is cut, in UTF-16 code units: lines of Thai and Chinese, mostly, which have no spaces. */
const PIECE_LENGTH_MAX = 1024;

/** Pieces that are remembered, the short ones. */
const REMEMBERED_MAX = 16_384;
const REMEMBERED_LENGTH_MAX = 64;

const remembered = new Map<string, readonly string[]>();

/** Every word of `text`, in order, folded; those longer than a term may be are left out. */
export function* wordsOf(text: string): Generator<string, void, undefined> {
  const folded = text.normalize("NFKC").toLowerCase();
  for (const piece of folded.split(SEPARATORS)) {
    if (!PLAIN_WORD.test(piece)) yield* segmentsOf(piece);
    else if (piece.length <= TERM_LENGTH_MAX) yield piece;
  }
}

function segmentsOf(piece: string): readonly string[] {
  if (piece === "") return [];
  const known = remembered.get(piece);
  if (known !== undefined) return known;
  const words = piecesOf(piece).flatMap((part) =>
    [...segmenter.segment(part)]
      .filter(({ segment, isWordLike }) => isWordLike && segment.length <= TERM_LENGTH_MAX)
      .map(({ segment }) => segment),
  );
  if (piece.length <= REMEMBERED_LENGTH_MAX) {
    if (remembered.size === REMEMBERED_MAX) remembered.clear();
    remembered.set(piece, words);
  }
  return words;
}

/** Cuts a piece that is too long, between two characters. */
function piecesOf(piece: string): string[] {
  const parts: string[] = [];
  let start = 0;
  while (piece.length - start > PIECE_LENGTH_MAX) {
    let end = start + PIECE_LENGTH_MAX;
    const isPair = (piece.codePointAt(end - 1) as number) > 0xffff;
    if (isPair) end -= 1;
    parts.push(piece.slice(start, end));
    start = end;
  }
  parts.push(piece.slice(start));
  return parts;
}
