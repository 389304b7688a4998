/**
 * Publishing what a shard contributes to the document frequencies: by its region, and only what changed.
 *
 * A contribution is given whole and compared, chunk by chunk, with the entries that are here, whoever
 * wrote them. So a repeated call writes nothing, a changed document writes the chunks of its terms, and a
 * region that is new to a shard, whose fencing token makes every chunk another one, writes all of them.
 * The same comparison mends whatever a region that had lost the shard wrote last.
 *
 * A vocabulary that is too large for one request comes from another peer in parts, in order, which wait
 * here until the last of them is there [S4].
 *
 * Everything is judged before anything is written: a contribution is taken whole or not at all.
 *
 * Rules: SPEC.md, section D.
 */
import { type Contribution, decodeParts, refuseToPublish, type TermCount } from "./contribution.ts";
import type { Allocation } from "./effect.ts";
import type { Refusal } from "./error.ts";
import {
  CHUNK_TERMS_LIMIT,
  type Contributor,
  chunkCountFor,
  chunkKey,
  chunkOf,
  encodeChunk,
  encodeHeader,
  FREQUENCIES,
  type FrequencyHeader,
  hashOfTerm,
  headerKey,
  tagOf,
  toggleDigest,
} from "./frequency-chunks.ts";
import { REPLICA_ENTRIES_MAX, STAGED_LENGTH_MAX, STAGED_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import type { Value } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Instant, ShardId } from "./units.ts";

/** How long parts wait for those after them, in ms. */
const STAGED_MS_MAX = 30_000;

/** Code units that a chunk may have: a code unit takes three bytes, the type and the length five. */
const CHUNK_LENGTH_MAX = Math.floor((VALUE_BYTES_MAX - 5) / 3);

/** How many entries hold a publication's terms, and how many of them had to be written. */
export type PublicationResult = readonly [chunks: number, changed: number];

interface Staged {
  readonly parts: string[];
  readonly length: number;
  readonly at: Instant;
}

export class FrequencyPublisher {
  readonly #state: PeerState;
  /** By shard and the name of the publication, the latest last. */
  readonly #staged = new Map<string, Staged>();

  constructor(state: PeerState) {
    this.#state = state;
  }

  /** Publishes what `contributor` has to say of the shard of `allocation`, which this region hosts. */
  publish(
    allocation: Allocation,
    { documents, terms }: Contribution,
    contributor: Contributor,
  ): { readonly ok: true; readonly value: PublicationResult } | Refusal {
    const { shard, token, writer } = allocation;
    const { header, texts } = this.#state.view.frequencies.published(shard, contributor);
    const key = headerKey(shard, contributor);
    const chunks = chunkCountFor(terms.size, header?.chunks ?? 0);
    const contents = spread(terms, chunks);
    if (contents === undefined) return refuseToPublish("BAD_REQUEST", COLLISION);

    const tag = tagOf(allocation, chunks);
    const digest = new Uint32Array(2);
    const writes = new Map<string, Value | undefined>();
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      const text = encodeChunk(tag, contents[chunk] ?? []);
      if (text.length > CHUNK_LENGTH_MAX) return refuseToPublish("BAD_REQUEST", COLLISION);
      toggleDigest(digest, chunk, text);
      if (texts.get(chunk) !== text) writes.set(chunkKey(key, chunk), text); // [D3]
    }
    const changed = writes.size;
    for (const chunk of texts.keys()) {
      if (chunk >= chunks) writes.set(chunkKey(key, chunk), undefined);
    }
    const [digestLow = 0, digestHigh = 0] = digest;
    const next = { token, writer, documents, chunks, digestLow, digestHigh };
    // [D1] Under the token of this allocation, whatever the header said before.
    if (writes.size > 0 || !isSameHeader(header, next)) writes.set(key, encodeHeader(next));
    if (!this.#hasRoomFor(writes)) return refuseToPublish("BUFFER_FULL", "the replica is full");
    this.#state.writeAll(FREQUENCIES, writes);
    return { ok: true, value: [chunks, changed] };
  }

  /** Keeps a part of a vocabulary until the others are there. Parts come in order, from 0. */
  stage(shard: ShardId, publication: string, part: number, text: string): Refusal | undefined {
    this.#expire();
    const key = `${shard}/${publication}`;
    const { parts, length } = this.#staged.get(key) ?? { parts: [], length: 0 };
    if (part > 0 && part !== parts.length) return refuseToPublish("NOT_OWNER", PART_LOST);
    const staged = {
      parts: part === 0 ? [text] : [...parts, text],
      length: (part === 0 ? 0 : length) + text.length,
      at: this.#state.now,
    };
    this.#staged.delete(key);
    let total = staged.length;
    for (const other of this.#staged.values()) total += other.length;
    if (total > STAGED_LENGTH_MAX || this.#staged.size === STAGED_MAX) {
      return refuseToPublish("BUFFER_FULL", "too many vocabularies are on their way"); // [S4]
    }
    this.#staged.set(key, staged);
    return undefined;
  }

  /** Hands out the terms of all parts, once. */
  unstage(
    shard: ShardId,
    publication: string,
    parts: number,
  ): { readonly ok: true; readonly terms: ReadonlyMap<string, number> } | Refusal {
    const key = `${shard}/${publication}`;
    const staged = this.#staged.get(key);
    this.#staged.delete(key);
    if (staged?.parts.length !== parts) return refuseToPublish("NOT_OWNER", PART_LOST);
    const terms = decodeParts(staged.parts);
    if (terms === undefined) return refuseToPublish("BAD_REQUEST", "its parts make no sense");
    return { ok: true, terms };
  }

  #expire(): void {
    for (const [key, { at }] of this.#staged) {
      if (this.#state.now - at > STAGED_MS_MAX) this.#staged.delete(key);
    }
  }

  /** [G10] A cap refuses local writes. */
  #hasRoomFor(writes: ReadonlyMap<string, unknown>): boolean {
    const { replica } = this.#state;
    if (replica.entryCount + writes.size <= REPLICA_ENTRIES_MAX) return true;
    const map = replica.map(FREQUENCIES);
    const added = [...writes.keys()].filter((key) => !map.has(key)).length;
    return replica.entryCount + added <= REPLICA_ENTRIES_MAX;
  }
}

const COLLISION = "too many of its terms have nearly one hash";
const PART_LOST = "the parts before this one went to another region, or waited too long";

/** The terms by chunk; undefined when a chunk has more than it may. */
function spread(terms: ReadonlyMap<string, number>, chunks: number): TermCount[][] | undefined {
  const contents: TermCount[][] = [];
  for (const pair of terms) {
    const chunk = chunkOf(hashOfTerm(pair[0]), chunks);
    const content = contents[chunk];
    if (content === undefined) contents[chunk] = [pair];
    else if (content.push(pair) > CHUNK_TERMS_LIMIT) return undefined;
  }
  return contents;
}

function isSameHeader(header: FrequencyHeader | undefined, next: FrequencyHeader): boolean {
  return (
    header?.token === next.token &&
    header.writer === next.writer &&
    header.documents === next.documents &&
    header.digestLow === next.digestLow &&
    header.digestHigh === next.digestHigh
  );
}
