/**
 * The calls about the words of documents: publish what a shard contributes, ask for what all come to, search.
 *
 * They are methods of `Peer`, and stand here so that one concept can be read at one go. What is asked for
 * is answered from the view, in memory; what is published is brought to the shard's region.
 *
 * Rules: SPEC.md, D1 to D5.
 */
import type { Contribution } from "./core/contribution.ts";
import type { GlobalDf, TermIdf } from "./core/document-frequency.ts";
import type { ShardId } from "./core/units.ts";
import type { PeerDocuments, SearchOptions } from "./documents/shell/peer-documents.ts";
import type { SearchResult } from "./documents/shell/search.ts";
import { SYSTEM_CLOCK } from "./io/clock.ts";
import { createIncarnation } from "./io/incarnation.ts";
import { type Publication, publish } from "./io/publication.ts";
import { checkName } from "./peer-arguments.ts";
import { Placement } from "./placement.ts";

export abstract class Statistics extends Placement {
  /** The documents of the cluster. */
  abstract get documents(): PeerDocuments;

  /** The best documents for some words: the same as `documents.search`. */
  search(words: string, options?: SearchOptions): Promise<SearchResult> {
    return this.documents.search(words, options);
  }

  /**
   * Says in how many documents of `shard` each term occurs, beside those that the shard's region hosts. Replaces
   * what was said before, and costs what has changed since. The shard's region publishes it, so the call is passed on to that. Rejects with
   * `BAD_REQUEST` or `FRAME_TOO_LARGE` when it is no contribution, or like `updateShardMetrics`.
   */
  async publishFrequencies(shard: ShardId, contribution: Contribution): Promise<void> {
    await this.publication(shard, contribution);
  }

  /** The same, with what it came to. @internal */
  publication(shard: ShardId, contribution: Contribution): Promise<Publication> {
    checkName("publish frequencies", "shard", shard);
    if (!(contribution.terms instanceof Map)) {
      throw new TypeError("Cannot publish frequencies: terms is no Map");
    }
    const id = createIncarnation(SYSTEM_CLOCK.wallMs()); // Nobody else has this one.
    const isHere = this.viewFor("publish frequencies").regionFor(shard) === this.name;
    return publish({ call: (request) => this.request(request), isHere, id }, shard, contribution);
  }

  /**
   * Says the same of the documents that this region hosts in `shard`, which counts beside what users say. Rejects
   * with `NOT_OWNER` when the shard has moved. @internal
   */
  async publishHosted(shard: ShardId, contribution: Contribution): Promise<void> {
    await this.request({ type: "publish-hosted-frequencies", shard, contribution });
  }

  /** In how many documents of all shards each term occurs, and how complete that is. From memory. */
  globalDf(terms: Iterable<string>): GlobalDf {
    return this.viewFor("look terms up").frequencies.globalDf(terms, SYSTEM_CLOCK.wallMs());
  }

  /** How much a term tells: `ln(documents / frequency) + 1`, 0 for one that occurs nowhere. */
  idf(term: string): TermIdf {
    return this.viewFor("look a term up").frequencies.idf(term, SYSTEM_CLOCK.wallMs());
  }
}
