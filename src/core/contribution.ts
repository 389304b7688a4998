/**
 * What one shard contributes to the document frequencies, and how terms and counts are written as text.
 *
 * The text is a sequence of records: the term's length, its count, the term. Numbers are written in digits
 * of five bits, the highest first: "`" to DEL where another digit follows, "@" to "_" for the last. So a
 * usual record is its term and two characters more, nothing needs to be escaped, and any term will do.
 *
 * Texts come from other peers. What is none is undefined, and never throws.
 *
 * Rules: SPEC.md, section D.
 */
import { isWellFormed } from "./canonical.ts";
import type { Refusal } from "./error.ts";
import { SHARD_DOCUMENTS_MAX, SHARD_TERMS_MAX, TERM_LENGTH_MAX } from "./limits.ts";

/** What one shard contributes to the frequencies of all. */
export interface Contribution {
  /** Documents in the shard. */
  readonly documents: number;
  /** By term: in how many of them it occurs, from 1 to `documents`. */
  readonly terms: ReadonlyMap<string, number>;
}

/** A term, and in how many documents it occurs. */
export type TermCount = readonly [term: string, count: number];

/** Terms, and beside them in how many documents each occurs. */
export interface TermCounts {
  readonly terms: readonly string[];
  readonly counts: readonly number[];
}

/** Why a contribution is none; undefined when it is one. Looks at all of it. */
export function refusalOf({ documents, terms }: Contribution): Refusal | undefined {
  if (!isIntegerWithin(documents, 0, SHARD_DOCUMENTS_MAX)) {
    const wanted = `an integer from 0 to ${SHARD_DOCUMENTS_MAX}`;
    return refuseToPublish("BAD_REQUEST", `the number of documents is not ${wanted}`);
  }
  if (terms.size > SHARD_TERMS_MAX) {
    return refuseToPublish("FRAME_TOO_LARGE", `there are more than ${SHARD_TERMS_MAX} terms`);
  }
  for (const [term, count] of terms) {
    if (typeof term !== "string" || term === "" || term.length > TERM_LENGTH_MAX) {
      const wanted = `text of 1 to ${TERM_LENGTH_MAX} characters`;
      return refuseToPublish("BAD_REQUEST", `a term is not ${wanted}`);
    }
    if (!isWellFormed(term)) {
      return refuseToPublish("BAD_REQUEST", "a term is not well-formed text");
    }
    if (!isIntegerWithin(count, 1, documents)) {
      const wanted = "an integer from 1 to the number of documents";
      return refuseToPublish("BAD_REQUEST", `the frequency of a term is not ${wanted}`);
    }
  }
  return undefined;
}

export function refuseToPublish(code: Refusal["code"], because: string): Refusal {
  return { ok: false, code, message: `Cannot publish frequencies: ${because}` };
}

/** Writes terms that `refusalOf` has nothing against. */
export function encodeTerms(terms: Iterable<TermCount>): string {
  let text = "";
  for (const [term, count] of terms) text += digitsOf(term.length) + digitsOf(count) + term;
  return text;
}

/** Reads at most `termsMax` terms from `start` on; undefined when the text is malformed. */
export function decodeTerms(text: string, start: number, termsMax: number): TermCounts | undefined {
  const terms: string[] = [];
  const counts: number[] = [];
  const reader = { at: start };
  while (reader.at < text.length) {
    const length = readDigits(text, reader);
    const count = readDigits(text, reader);
    const term = text.slice(reader.at, reader.at + length);
    reader.at += length;
    const isGood =
      terms.length < termsMax &&
      isIntegerWithin(length, 1, TERM_LENGTH_MAX) &&
      term.length === length &&
      isIntegerWithin(count, 1, SHARD_DOCUMENTS_MAX) &&
      !isCutPair(term);
    if (!isGood) return undefined;
    terms.push(term);
    counts.push(count);
  }
  return { terms, counts };
}

/** Writes `terms` in parts of at most `lengthMax` code units, and one record more. */
export function encodeInParts(terms: Iterable<TermCount>, lengthMax: number): string[] {
  const parts: string[] = [];
  let part = "";
  for (const pair of terms) {
    part += encodeTerms([pair]);
    if (part.length < lengthMax) continue;
    parts.push(part);
    part = "";
  }
  if (part !== "" || parts.length === 0) parts.push(part);
  return parts;
}

/** The terms of several texts; undefined when one is malformed, or a term comes twice. */
export function decodeParts(parts: Iterable<string>): Map<string, number> | undefined {
  const terms = new Map<string, number>();
  let count = 0;
  for (const part of parts) {
    const content = decodeTerms(part, 0, SHARD_TERMS_MAX - count);
    if (content === undefined) return undefined;
    count += content.terms.length;
    content.terms.forEach((term, index) => {
      terms.set(term, content.counts[index] as number);
    });
  }
  return terms.size === count ? terms : undefined;
}

/** Five bits to a digit, the highest first. */
function digitsOf(value: number): string {
  let digits = String.fromCharCode(0x40 + (value % 32));
  for (let rest = Math.floor(value / 32); rest > 0; rest = Math.floor(rest / 32)) {
    digits = String.fromCharCode(0x60 + (rest % 32)) + digits;
  }
  return digits;
}

/** Reads a number and moves on; -1 when there is none. */
function readDigits(text: string, reader: { at: number }): number {
  let value = 0;
  while (reader.at < text.length && value <= SHARD_DOCUMENTS_MAX) {
    const digit = text.charCodeAt(reader.at) - 0x40;
    reader.at += 1;
    if (digit < 0 || digit > 63) return -1;
    value = value * 32 + (digit & 31);
    if (digit < 32) return value;
  }
  return -1;
}

/** Whether a piece of well-formed text begins or ends within a pair of surrogates. */
function isCutPair(term: string): boolean {
  const first = term.charCodeAt(0);
  const last = term.charCodeAt(term.length - 1);
  return (first >= 0xdc00 && first < 0xe000) || (last >= 0xd800 && last < 0xdc00);
}

/** Not so of -0, which no entry may hold. */
function isIntegerWithin(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max && !Object.is(value, -0);
}
