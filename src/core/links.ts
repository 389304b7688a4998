/**
 * All open links of one peer, and which of them counts where there are several to one peer.
 *
 * Both ends of a pair may dial at the same moment, and a peer may redial while its old socket lingers.
 * Both ends then keep the same one without talking about it [G7]: the link that the lower name
 * dialled, and of two from one dialler the newer. The other is closed, but listened to until it ends:
 * what is in flight on it would otherwise be lost until the next exchange.
 */
import type { Link } from "./link.ts";
import type { Incarnation, LinkId, PeerName } from "./units.ts";

export class Links {
  readonly #self: PeerName;
  readonly #links = new Map<LinkId, Link>();
  /** What `open` returns; undefined after a change. */
  #open: readonly Link[] | undefined;
  #changes = 0;

  constructor(self: PeerName) {
    this.#self = self;
  }

  /** Number of links, those that are closing included. */
  get size(): number {
    return this.#links.size;
  }

  /** How often links have come or gone: equal numbers mean equal links. */
  get changes(): number {
    return this.#changes;
  }

  get(id: LinkId): Link | undefined {
    return this.#links.get(id);
  }

  /** Adds a link and returns those that must be closed for it, possibly itself. */
  add(link: Link): Link[] {
    const duplicates = this.open().filter(
      ({ remote }) => remote.incarnation === link.remote.incarnation,
    );
    this.#links.set(link.id, link);
    this.#open = undefined;
    this.#changes += 1;
    let kept = link;
    const closed: Link[] = [];
    for (const other of duplicates) {
      const loser = this.#keepsNewer(other, kept) ? other : kept;
      kept = loser === kept ? other : kept;
      this.close(loser);
      closed.push(loser);
    }
    return closed;
  }

  /** Marks a link as closing: it is listened to, and nothing more is sent on it. */
  close(link: Link): void {
    link.isClosing = true;
    this.#open = undefined;
    this.#changes += 1;
  }

  delete(id: LinkId): void {
    this.#links.delete(id);
    this.#open = undefined;
    this.#changes += 1;
  }

  /** Links that may carry something: all but those that are closing. Not to be changed. */
  open(): readonly Link[] {
    this.#open ??= [...this.#links.values()].filter((link) => !link.isClosing);
    return this.#open;
  }

  /** An open link to this life of a peer. */
  to(incarnation: Incarnation): Link | undefined {
    return this.open().find(({ remote }) => remote.incarnation === incarnation);
  }

  /** Open links that carry more than heartbeats. */
  usable(maxDriftMs: number): Link[] {
    return this.open().filter((link) => !link.isGated(maxDriftMs));
  }

  /** Usable links that are not full, and on which this end has no exchange under way. */
  free(maxDriftMs: number): Link[] {
    return this.usable(maxDriftMs).filter(
      (link) => !link.isCongested && link.sync.startedAt === undefined,
    );
  }

  #keepsNewer(older: Link, newer: Link): boolean {
    if (older.isDialled === newer.isDialled) return true;
    const dialler = newer.isDialled ? this.#self : newer.remote.name;
    const acceptor = newer.isDialled ? newer.remote.name : this.#self;
    return dialler < acceptor;
  }
}
