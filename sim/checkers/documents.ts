/**
 * No edit that was acknowledged is missing once everything has healed, and all copies are equal.
 *
 * An edit sets a key that no other edit sets, so a document is right when it has the keys. What was
 * acknowledged before a disk was lost may be lost with it: fewer copies than usual may have been all that
 * there were to be.
 */
import { encodeSnapshot, snapshot } from "yjs";
import type { Report } from "../checker.ts";
import type { SimulatedDocuments } from "../documents.ts";

export class DocumentsChecker {
  /** What was acknowledged since the last loss of a disk, by document. */
  readonly #acknowledged = new Map<string, Set<string>>();

  /** Documents that somebody has edited. */
  get documents(): string[] {
    return [...this.#acknowledged.keys()].sort();
  }

  acknowledged(document: string, operation: string): void {
    const operations = this.#acknowledged.get(document) ?? new Set();
    this.#acknowledged.set(document, operations.add(operation));
  }

  /** A disk was lost. */
  wiped(): void {
    for (const operations of this.#acknowledged.values()) operations.clear();
  }

  /** Why the documents of these peers, which are all there are, are not at rest; undefined when they are. */
  unsettled(peers: readonly SimulatedDocuments[]): string | undefined {
    for (const document of this.documents) {
      const view = peers[0]?.peer.machine?.view;
      const shard = view?.shardFor(document) ?? "";
      const owner = peers.find(({ peer }) => peer.name === view?.regionFor(shard));
      if (owner === undefined) return `nobody has ${document}`;
      if (!owner.items.isReady(shard)) return `${owner.peer.name} does not serve ${document}`;
      if (owner.items.isWaiting(shard, document)) return `${document} is not replicated`;
      const { version } = owner.store.items(shard).get(document) ?? {};
      for (const name of owner.replicasOf(document)) {
        const copy = peers
          .find(({ peer }) => peer.name === name)
          ?.store.items(shard)
          .get(document);
        if (JSON.stringify(copy?.version) !== JSON.stringify(version)) {
          return `${name} has another version of ${document}`;
        }
      }
      for (const { peer, documents, editors } of peers) {
        const room = documents.rooms.get(document);
        if (editors.has(document) && room?.isReady !== true) {
          return `the room of ${document} at ${peer.name} waits`;
        }
      }
    }
    return undefined;
  }

  /** [I14] Once they are at rest. */
  judge(peers: readonly SimulatedDocuments[], report: Report): void {
    const reason = this.unsettled(peers);
    if (reason !== undefined) {
      report("I14", `Documents do not come to rest: ${reason}`);
      return;
    }
    for (const [document, operations] of this.#acknowledged) {
      const view = peers[0]?.peer.machine?.view;
      const shard = view?.shardFor(document) ?? "";
      const owner = peers.find(({ peer }) => peer.name === view?.regionFor(shard));
      if (owner === undefined) continue;
      const content = owner.contentOf(shard, document);
      const has = content.getMap("operations");
      const missing = [...operations].filter((operation) => !has.has(operation));
      if (missing.length > 0) {
        const what = `${missing.length} acknowledged edits, such as ${missing[0]}`;
        report("I14", `${document} at ${owner.peer.name} lacks ${what}`);
      }
      this.#compare(peers, owner, { document, shard, state: nameOf(content) }, report);
    }
  }

  #compare(
    peers: readonly SimulatedDocuments[],
    owner: SimulatedDocuments,
    { document, shard, state }: { document: string; shard: string; state: string },
    report: Report,
  ): void {
    for (const name of owner.replicasOf(document)) {
      const copy = peers.find(({ peer }) => peer.name === name)?.contentOf(shard, document);
      if (copy !== undefined && nameOf(copy) !== state) {
        report("I14", `The copy of ${document} at ${name} is not that of ${owner.peer.name}`);
      }
    }
    for (const { peer, editors } of peers) {
      const editor = editors.get(document);
      if (editor !== undefined && !editor.isOut && nameOf(editor.doc) !== state) {
        report("I14", `A client of ${peer.name} sees another ${document}`);
      }
    }
  }
}

/** Names what a document has and what was deleted in it. */
const nameOf = (doc: Parameters<typeof snapshot>[0]): string =>
  encodeSnapshot(snapshot(doc)).join();
