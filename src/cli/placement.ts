/**
 * Which shard each document belongs to, as peers say. The shards of this cluster do not change while it
 * runs, so asking once is enough; which region hosts a shard is another matter.
 */
import type { RoutedDocument } from "./peer-api.ts";

export class Placement {
  readonly #documents = new Map<string, string[]>();

  constructor(routes: Iterable<RoutedDocument>) {
    for (const { document, shard } of routes) {
      if (shard === null) continue;
      const documents = this.#documents.get(shard);
      if (documents === undefined) this.#documents.set(shard, [document]);
      else documents.push(document);
    }
  }

  documentsOf(shards: Iterable<string>): string[] {
    return [...shards].flatMap((shard) => this.#documents.get(shard) ?? []);
  }

  countOf(shards: Iterable<string>): number {
    let count = 0;
    for (const shard of shards) count += this.#documents.get(shard)?.length ?? 0;
    return count;
  }
}
