/**
 * All open links of one peer, and which of them counts where there are several to one peer.
 *
 * Both ends of a pair may dial at the same moment, and a peer may redial while its old socket lingers.
 * Both ends then keep the same one without talking about it [G7]: the link that the lower name
 * dialled, and of two from one dialler the newer. Which of two that were dialled at about the same time is
 * newer does not follow from when they opened, which is in another order at the other end: it is the one
 * whose dialler said hello later, and both ends have heard that. The other is closed, but listened to until it ends:
 * what is in flight on it would otherwise be lost until the next exchange.
 */
import type { DialMark } from "./event.ts";
import { HANDSHAKE_TIMEOUT_MS } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Incarnation, LinkId, PeerName } from "./units.ts";

export class Links {
  readonly #self: PeerName;
  readonly #links = new Map<LinkId, Link>();
  /** What `open` and `names` return; undefined after a change. */
  #open: readonly Link[] | undefined;
  #names: ReadonlySet<PeerName> | undefined;
  /** By incarnation: what `to` returns. */
  #byLife: ReadonlyMap<Incarnation, Link> | undefined;
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
    this.#changed();
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
    this.#changed();
  }

  delete(id: LinkId): void {
    this.#links.delete(id);
    this.#changed();
  }

  /** Links that may carry something: all but those that are closing. Not to be changed. */
  open(): readonly Link[] {
    this.#open ??= [...this.#links.values()].filter((link) => !link.isClosing);
    return this.#open;
  }

  /** Names of those whom open links lead to. Not to be changed. */
  names(): ReadonlySet<PeerName> {
    this.#names ??= new Set(this.open().map(({ remote }) => remote.name));
    return this.#names;
  }

  /** An open link to this life of a peer, the first if there are several. */
  to(incarnation: Incarnation): Link | undefined {
    this.#byLife ??= firstOfEach(this.open());
    return this.#byLife.get(incarnation);
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

  #changed(): void {
    this.#open = undefined;
    this.#names = undefined;
    this.#byLife = undefined;
    this.#changes += 1;
  }

  #keepsNewer(older: Link, newer: Link): boolean {
    if (older.isDialled === newer.isDialled) return !wasDialledBefore(newer, older);
    const dialler = newer.isDialled ? this.#self : newer.remote.name;
    const acceptor = newer.isDialled ? newer.remote.name : this.#self;
    return dialler < acceptor;
  }
}

function firstOfEach(links: readonly Link[]): ReadonlyMap<Incarnation, Link> {
  const first = new Map<Incarnation, Link>();
  for (const link of links) {
    if (!first.has(link.remote.incarnation)) first.set(link.remote.incarnation, link);
  }
  return first;
}

/** Whether one of two links of a dialler, though it opened later, was dialled before the other. */
function wasDialledBefore(one: Link, other: Link): boolean {
  if (one.openedAt - other.openedAt > HANDSHAKE_TIMEOUT_MS) return false; // Whatever clocks say.
  const [a, b] = [one.remote.dial, other.remote.dial];
  return a !== undefined && b !== undefined && compareDials(a, b) < 0;
}

function compareDials(a: DialMark, b: DialMark): number {
  return a.wallMs - b.wallMs || a.mark - b.mark;
}
