/**
 * Brings a shard's contribution to the region that publishes it, whole or in parts.
 *
 * One request between peers holds a few thousand terms. A larger vocabulary goes in parts, one after the
 * other, and is published when all of them are there; nothing of it can be seen before. Where the shard
 * moves meanwhile, the parts are with a region that no longer needs them, and all begins again.
 */
import { type Contribution, encodeInParts, refusalOf } from "../core/contribution.ts";
import { HearsayError } from "../core/error.ts";
import type { CallRequest } from "../core/event.ts";
import type { PublicationResult } from "../core/frequency-publisher.ts";
import { STAGED_PART_LENGTH } from "../core/limits.ts";
import type { ShardId } from "../core/units.ts";

/** How often it is begun anew because the shard has moved. */
const ATTEMPTS_MAX = 3;

/** What a publication came to, as HTTP answers it. */
export interface Publication {
  readonly shard: ShardId;
  readonly documents: number;
  readonly terms: number;
  /** Entries that hold the terms, and how many of them had to be written. */
  readonly chunks: number;
  readonly changed: number;
}

export interface Publisher {
  /** Calls the machine. */
  readonly call: (request: CallRequest) => Promise<unknown>;
  /** Whether this peer's region hosts the shard, so that nothing has to travel. */
  readonly isHere: boolean;
  /** Names this publication among those of all peers. */
  readonly id: string;
}

/** Publishes what `shard` contributes. Rejects with the code of whatever is in the way. */
export async function publish(
  { call, isHere, id }: Publisher,
  shard: ShardId,
  contribution: Contribution,
): Promise<Publication> {
  const { documents, terms } = contribution;
  const refusal = refusalOf(contribution); // Nothing is written as text that is no contribution.
  if (refusal !== undefined) throw new HearsayError(refusal.code, refusal.message);
  const termCount = terms.size;
  const parts = isHere ? [] : encodeInParts(terms, STAGED_PART_LENGTH);
  const [chunks, changed] = (await (parts.length <= 1
    ? call({ type: "publish-frequencies", shard, contribution })
    : publishInParts(call, shard, documents, parts, id))) as PublicationResult;
  return { shard, documents, terms: termCount, chunks, changed };
}

async function publishInParts(
  call: Publisher["call"],
  shard: ShardId,
  documents: number,
  parts: readonly string[],
  id: string,
): Promise<unknown> {
  for (let attempt = 1; ; attempt += 1) {
    const publication = `${id}-${attempt}`;
    try {
      for (const [part, text] of parts.entries()) {
        await call({ type: "stage-frequencies", shard, publication, part, text });
      }
      const count = parts.length;
      return await call({
        ...{ type: "publish-staged-frequencies", shard, publication, parts: count, documents },
      });
    } catch (error) {
      const isLost = error instanceof HearsayError && error.code === "NOT_OWNER";
      if (!isLost || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}
