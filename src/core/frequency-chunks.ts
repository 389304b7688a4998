/**
 * How a shard's document frequencies are laid out in entries: a header, and chunks of terms by hash.
 *
 *   key "shard-7"      [token time, token writer, documents, chunks, digest low, digest high]
 *   key "shard-7/42"   text: tag, then terms and counts as `contribution.ts` writes them
 *
 * A shard has two contributions, and counts the sum: what users publish of it, and under "shard-7:hosted" what the
 * documents that its region hosts come to. Neither knows of the other, or replaces it [D1].
 *
 * A chunk holds the terms whose hash falls into it, about a dozen, so that changing k terms rewrites at
 * most k chunks, whatever the size of the vocabulary [D3]. How many chunks there are follows the number
 * of terms, by doubling; a vocabulary that hovers around a limit does not double and halve in turns.
 *
 * The tag names the header's fencing token and number of chunks in 8 characters instead of 60 bytes. A
 * chunk with another tag belongs to another region's contribution, or to another layout, and does not
 * count [D1]. The digest is over the chunks' texts: equal to that of what a peer holds exactly when it
 * holds all of one publication and nothing of another [D4].
 *
 * A chunk is text and not bytes since a string of this length takes a third of the memory of a
 * `Uint8Array`, and there are hundreds of thousands of them. Terms are sorted, so one content has one
 * text.
 *
 * What cannot be read is nobody's contribution and counts as missing; it never throws.
 *
 * Rules: SPEC.md, section D.
 */
import { decodeTerms, encodeTerms, type TermCount, type TermCounts } from "./contribution.ts";
import { Hash64, hash32 } from "./hash.ts";
import { SHARD_DOCUMENTS_MAX, SHARD_TERMS_MAX } from "./limits.ts";
import type { Value } from "./message.ts";
import type { FencingToken } from "./token.ts";
import { compareText, type ShardId } from "./units.ts";

/** The replicated map of what each shard contributes. */
export const FREQUENCIES = "frequencies";

/** A vocabulary with more terms to a chunk than this gets twice as many chunks. */
const CHUNK_TERMS_MAX = 16;

/** One with fewer gets half as many. Doubling leaves 8, so that a change back changes nothing. */
const CHUNK_TERMS_MIN = 4;

/**
 * Terms in one chunk, whoever wrote it. Of honest vocabularies no chunk has 80 before the sun burns out;
 * terms that were made to collide would make the index slow.
 */
export const CHUNK_TERMS_LIMIT = 128;

/** Chunks of the largest vocabulary. */
export const CHUNKS_MAX = SHARD_TERMS_MAX / CHUNK_TERMS_MAX;

const TAG_LENGTH = 8;
const TAG_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** What stands in a header. */
export interface FrequencyHeader extends FencingToken {
  readonly documents: number;
  readonly chunks: number;
  /** 64 bits, in two words. */
  readonly digestLow: number;
  readonly digestHigh: number;
}

/** How many chunks `termCount` terms take, when they took `present` before; 0 when there were none. */
export function chunkCountFor(termCount: number, present: number): number {
  let chunks = present > 0 ? present : 1;
  while (chunks < CHUNKS_MAX && termCount > chunks * CHUNK_TERMS_MAX) chunks *= 2;
  while (chunks > 1 && termCount < chunks * CHUNK_TERMS_MIN) chunks = Math.ceil(chunks / 2);
  return Math.min(chunks, CHUNKS_MAX);
}

/** The terms of a chunk with their hashes. */
export interface ChunkContent extends TermCounts {
  readonly hashes: readonly number[];
}

/** The hash that places a term in a chunk and in the index. */
export const hashOfTerm: (term: string) => number = hash32;

/** In which of `chunks` chunks a term with this hash is. Doubling splits each chunk in two. */
export function chunkOf(hash: number, chunks: number): number {
  return Math.floor((hash / 0x1_0000_0000) * chunks);
}

/** Whose contribution to a shard it is. */
export type Contributor = "users" | "documents";

const HOSTED = ":hosted";

/** The key of a contribution's header. */
export function headerKey(shard: ShardId, contributor: Contributor): string {
  return contributor === "documents" ? shard + HOSTED : shard;
}

export function chunkKey(header: string, chunk: number): string {
  return `${header}/${chunk}`;
}

/** Where an entry belongs. */
export interface FrequencyPlace {
  readonly shard: ShardId;
  /** The key of the contribution's header. */
  readonly header: string;
  /** -1 for the header itself. */
  readonly chunk: number;
}

/** Reads a key; undefined for what is none of ours. */
export function parseKey(key: string): FrequencyPlace | undefined {
  const slash = key.indexOf("/");
  const header = slash < 0 ? key : key.slice(0, slash);
  const shard = header.endsWith(HOSTED) ? header.slice(0, -HOSTED.length) : header;
  if (shard.includes(":")) return undefined;
  if (slash < 0) return { shard, header, chunk: -1 };
  const number = key.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,5})$/.test(number) || Number(number) >= CHUNKS_MAX) return undefined;
  return { shard, header, chunk: Number(number) };
}

export function encodeHeader(header: FrequencyHeader): Value {
  const { token, writer, documents, chunks, digestLow, digestHigh } = header;
  return [token, writer, documents, chunks, digestLow, digestHigh];
}

/** The header in a value; undefined in a tombstone, or what this version cannot read. */
export function decodeHeader(value: Value | undefined): FrequencyHeader | undefined {
  if (!Array.isArray(value)) return undefined;
  const [token, writer, documents, chunks, digestLow, digestHigh] = value as Value[];
  const isHeader =
    isIntegerTo(token, Number.MAX_SAFE_INTEGER) &&
    typeof writer === "string" &&
    isIntegerTo(documents, SHARD_DOCUMENTS_MAX) &&
    isIntegerTo(chunks, CHUNKS_MAX) &&
    chunks > 0 &&
    isIntegerTo(digestLow, 0xffff_ffff) &&
    isIntegerTo(digestHigh, 0xffff_ffff);
  return isHeader ? { token, writer, documents, chunks, digestLow, digestHigh } : undefined;
}

function isIntegerTo(value: Value | undefined, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

const hash = new Hash64();

/** Names a token and a number of chunks. */
export function tagOf({ token, writer }: FencingToken, chunks: number): string {
  hash.reset(chunks, 0);
  hash.word(token % 0x1_0000_0000);
  hash.word(Math.floor(token / 0x1_0000_0000));
  hash.text(writer);
  hash.finish();
  let tag = "";
  for (let word = hash.low, digit = 0; digit < TAG_LENGTH; digit += 1, word >>>= 6) {
    if (digit === TAG_LENGTH / 2) word = hash.high;
    tag += TAG_DIGITS[word & 63];
  }
  return tag;
}

/** Whether a chunk belongs to the header with that tag. */
export function hasTag(text: string, tag: string): boolean {
  return text.startsWith(tag);
}

/** Adds a chunk to a digest, or takes it out. */
export function toggleDigest(digest: Uint32Array, chunk: number, text: string): void {
  hash.reset(chunk, 0);
  hash.text(text);
  hash.finish();
  digest[0] = (digest[0] as number) ^ hash.low;
  digest[1] = (digest[1] as number) ^ hash.high;
}

/** The text of a chunk with these terms and their counts, given in any order. */
export function encodeChunk(tag: string, terms: readonly TermCount[]): string {
  const sorted = terms.length > 1 ? [...terms].sort((a, b) => compareText(a[0], b[0])) : terms;
  return tag + encodeTerms(sorted);
}

/**
 * Reads chunk `chunk` of `chunks`; undefined when it is malformed. That includes a term that belongs
 * elsewhere or comes twice: it would be counted twice.
 */
export function decodeChunk(text: string, chunk: number, chunks: number): ChunkContent | undefined {
  const content = decodeTerms(text, TAG_LENGTH, CHUNK_TERMS_LIMIT);
  if (content === undefined) return undefined;
  const hashes: number[] = [];
  let previous = "";
  for (const term of content.terms) {
    const hashed = hashOfTerm(term);
    if (term <= previous || chunkOf(hashed, chunks) !== chunk) return undefined;
    hashes.push(hashed);
    previous = term;
  }
  return { ...content, hashes };
}
