/**
 * All open links of one peer, and which of them counts where there are several to one peer.
 *
 * Both ends of a pair may dial at the same moment, and a peer may redial while its old socket lingers.
 * Both ends then keep the same one without talking about it [G7]: the link that the lower name
 * dialled, and of two from one dialler the newer. The other is closed, but listened to until it ends:
 * what is in flight on it would otherwise be lost until the next exchange.
 */
import type { Link } from "./link.ts";
import type { Random } from "./random.ts";
import type { Incarnation, LinkId, PeerName } from "./units.ts";

export class Links {
  readonly #self: PeerName;
  readonly #links = new Map<LinkId, Link>();

  constructor(self: PeerName) {
    this.#self = self;
  }

  /** Number of links, those that are closing included. */
  get size(): number {
    return this.#links.size;
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
    let kept = link;
    const closed: Link[] = [];
    for (const other of duplicates) {
      const loser = this.#keepsNewer(other, kept) ? other : kept;
      kept = loser === kept ? other : kept;
      loser.isClosing = true;
      closed.push(loser);
    }
    return closed;
  }

  delete(id: LinkId): void {
    this.#links.delete(id);
  }

  /** Links that may carry something: all but those that are closing. */
  open(): Link[] {
    return [...this.#links.values()].filter((link) => !link.isClosing);
  }

  /** An open link to this life of a peer. */
  to(incarnation: Incarnation): Link | undefined {
    return this.open().find(({ remote }) => remote.incarnation === incarnation);
  }

  /** Open links that carry more than heartbeats. */
  usable(maxDriftMs: number): Link[] {
    return this.open().filter((link) => !link.isGated(maxDriftMs));
  }

  /** A random one of the links that carry more than heartbeats and are not full. */
  random(maxDriftMs: number, random: Random): Link | undefined {
    return random.pick(this.usable(maxDriftMs).filter((link) => !link.isCongested));
  }

  #keepsNewer(older: Link, newer: Link): boolean {
    if (older.isDialled === newer.isDialled) return true;
    const dialler = newer.isDialled ? this.#self : newer.remote.name;
    const acceptor = newer.isDialled ? newer.remote.name : this.#self;
    return dialler < acceptor;
  }
}
