/**
 * Posts: messages that services of peers send each other, in order and without acknowledgement.
 *
 * Theory of operation
 *
 * A service is code that every peer runs under the same name, such as the one that hosts documents. It
 * posts opaque bytes to the service of that name at another peer. Posts travel over the links that are
 * there, and belong to a *conversation* with one life of a peer over one link: within it they arrive in
 * order, each once. A conversation ends with its link, and both ends are told (`lost`): what was on its
 * way may be gone, and what comes late from the old link is dropped. Nothing is sent again. Services
 * have protocols of their own that begin anew after a loss, and their own acknowledgements.
 *
 * There is no queue here but the socket. A post is taken or it is not (`canPost`): there is no link, or
 * too much waits in it, or too much was posted since the last pulse. Whoever was not taken is told when
 * that has changed (`open`). Who needs a peer for longer says so (`need`): then a link is dialled where
 * the overlay has none, kept, and services hear of it when posts are taken.
 *
 * A post to the peer itself comes back at the end of the step, like any other.
 *
 * Deliberately absent: broadcast, acknowledgements, fragments, and whether the other end has the service.
 *
 * Rules: SPEC.md, N1 to N3.
 */
import type { Delivery } from "./delivery.ts";
import { POST_BYTES_BURST } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Post } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Address, Instant, LinkId, PeerName } from "./units.ts";

/** The other end of conversations: one peer, whatever its life. */
interface Counterpart {
  readonly name: PeerName;
  isNeeded: boolean;
  /** Of the present conversation. */
  link: LinkId | undefined;
  /** Whether posts were taken when that was last looked at. */
  isOpen: boolean;
  /** Posted since the last pulse. */
  bytes: number;
  dialledAt: Instant;
  /** When the last conversation ended. */
  endedAt: Instant;
}

/** How long after a dial for a peer that is needed another one may be made, in ms. */
const DIAL_AGAIN_MS = 500;

/** What a post takes besides its body, about. */
const POST_BYTES = 64;

export class Posts {
  readonly #state: PeerState;
  readonly #dial: (address: Address, peer: PeerName) => void;
  readonly #counterparts = new Map<PeerName, Counterpart>();
  /** Something has happened that may open or end a conversation. */
  #isDue = false;
  #linkChanges = 0;
  #retryAt: Instant = Number.POSITIVE_INFINITY;

  constructor(state: PeerState, dial: (address: Address, peer: PeerName) => void) {
    this.#state = state;
    this.#dial = dial;
  }

  /** Whether a post to a peer would be taken now. */
  canPost(to: PeerName): boolean {
    const { left, halted, options } = this.#state;
    if (left || halted) return false;
    if (to === options.name) return true;
    const known = this.#counterparts.get(to);
    if (known !== undefined && known.bytes >= POST_BYTES_BURST) return false; // [S4]
    const link = this.#linkFor(to, known);
    return link !== undefined && !link.isCongested;
  }

  /** A service posts. What cannot be taken is dropped: `canPost` says so. */
  posted(to: PeerName, service: string, body: Uint8Array): void {
    const { name } = this.#state.options;
    if (!this.canPost(to)) return;
    if (to === name) {
      this.#deliver({ type: "post", from: name, service, body });
      return;
    }
    const counterpart = this.#counterpart(to);
    const link = this.#linkFor(to, counterpart);
    if (link === undefined) return;
    counterpart.link = link.id;
    counterpart.bytes += body.length + POST_BYTES;
    if (counterpart.bytes >= POST_BYTES_BURST) counterpart.isOpen = false;
    this.#state.send(link, { type: "post", service, body });
  }

  /** Services need a peer from now on, or no longer. */
  need(peer: PeerName, isNeeded: boolean): void {
    if (peer === this.#state.options.name) {
      if (isNeeded) this.#deliver({ type: "open", peer });
      return;
    }
    const counterpart = this.#counterpart(peer);
    counterpart.isNeeded = isNeeded;
    counterpart.isOpen = false; // Who asks for it is told, also if it is open.
    const link =
      counterpart.link === undefined ? undefined : this.#state.links.get(counterpart.link);
    if (link !== undefined) link.isPosted = isNeeded;
    this.#isDue = true;
  }

  /** A post has come. */
  received(link: Link, { service, body }: Post): void {
    const { name: from, incarnation } = link.remote;
    const { links, view } = this.#state;
    const counterpart = this.#counterpart(from);
    if (counterpart.link !== link.id) {
      const present = counterpart.link === undefined ? undefined : links.get(counterpart.link);
      const row = view.membership.get(from)?.row;
      const isOld = present !== undefined && row !== undefined && row.incarnation !== incarnation;
      if (link.isRetired || link.isClosing || isOld) return; // [N2] Of a conversation that is over.
      this.#end(counterpart);
      counterpart.link = link.id;
      link.isPosted = counterpart.isNeeded;
      this.#isDue = true;
    }
    this.#deliver({ type: "post", from, service, body });
  }

  /** Something came over a link that carries nothing but heartbeats: a post may have been among it. */
  missed(link: Link): void {
    const counterpart = this.#counterparts.get(link.remote.name);
    if (counterpart?.link === link.id) this.#end(counterpart); // [N2]
    this.#isDue = true;
  }

  /** A socket is full, or has drained. */
  congested(): void {
    this.#isDue = true;
  }

  pulse(): void {
    for (const counterpart of this.#counterparts.values()) counterpart.bytes = 0;
    this.#isDue = true;
  }

  settle(): void {
    const { links, membersChanged, now } = this.#state;
    const isNews = links.changes !== this.#linkChanges || membersChanged || now >= this.#retryAt;
    if (!isNews && !this.#isDue) return;
    this.#linkChanges = links.changes;
    this.#isDue = false;
    this.#retryAt = Number.POSITIVE_INFINITY;
    for (const counterpart of [...this.#counterparts.values()]) this.#look(counterpart);
  }

  deadline(): Instant {
    return this.#retryAt;
  }

  #look(counterpart: Counterpart): void {
    const { name, isNeeded } = counterpart;
    if (counterpart.link !== undefined && this.#present(counterpart) === undefined) {
      this.#end(counterpart);
    }
    const link = this.#linkFor(name, counterpart);
    if (link === undefined) {
      counterpart.isOpen = false;
      if (isNeeded) {
        this.#replaceRetired(counterpart);
        this.#reach(counterpart);
      } else this.#counterparts.delete(name);
      return;
    }
    if (isNeeded) link.isPosted = link.isWanted = true; // [G7] Told with the next pulse.
    if (isNeeded) counterpart.link = link.id;
    const isOpen = this.canPost(name);
    if (isOpen && !counterpart.isOpen) this.#deliver({ type: "open", peer: name });
    counterpart.isOpen = isOpen;
  }

  /**
   * [N2] No conversation begins over a link that has had one. Where such a link is the only one, which
   * carries everything else, another one takes its place: to all others it is a duplicate.
   */
  #replaceRetired(counterpart: Counterpart): void {
    const { view, links, timings, now } = this.#state;
    const { name } = counterpart;
    const link = links.to(view.membership.get(name)?.row.incarnation ?? "");
    if (link === undefined || !link.isRetired || link.isClosing) return;
    if (link.isGated(timings.maxDriftMs)) return; // So would the next one be.
    // [H3] Answers are on their way over it. There may always be some.
    const { endedAt } = counterpart;
    if (link.asksUnderWay > 0 && now - endedAt < timings.dialTimeoutMs) return;
    links.close(link);
    this.#state.effect({ type: "close", link: link.id, code: "DUPLICATE" });
  }

  /** Dials a peer that is needed, unless that was just done. */
  #reach(counterpart: Counterpart): void {
    const { view, now, left } = this.#state;
    const member = view.membership.get(counterpart.name);
    if (left || member === undefined || member.status === "left") return;
    if (now - counterpart.dialledAt >= DIAL_AGAIN_MS && member.status !== "dead") {
      counterpart.dialledAt = now;
      this.#dial(member.row.address, counterpart.name);
    }
    this.#retryAt = Math.min(this.#retryAt, now + DIAL_AGAIN_MS);
  }

  /** [N2] What comes late of a conversation that has ended is not delivered. */
  #end(counterpart: Counterpart): void {
    const { link, name } = counterpart;
    if (link === undefined) return;
    const before = this.#state.links.get(link);
    if (before !== undefined) {
      before.isRetired = true;
      before.isPosted = false;
    }
    counterpart.link = undefined;
    counterpart.endedAt = this.#state.now;
    counterpart.isOpen = false;
    this.#deliver({ type: "lost", peer: name });
  }

  /** The link of the present conversation, while it goes on. */
  #present(counterpart: Counterpart): Link | undefined {
    if (counterpart.link === undefined) return undefined;
    const link = this.#state.links.get(counterpart.link);
    return link !== undefined && this.#carries(link) ? link : undefined;
  }

  #linkFor(peer: PeerName, counterpart: Counterpart | undefined): Link | undefined {
    const { view, links } = this.#state;
    const incarnation = view.membership.get(peer)?.row.incarnation;
    const present = counterpart && this.#present(counterpart);
    if (present !== undefined) return present;
    if (incarnation === undefined || counterpart?.link !== undefined) return undefined;
    const link = links.to(incarnation);
    return link !== undefined && this.#carries(link) ? link : undefined;
  }

  #carries(link: Link): boolean {
    return !link.isClosing && !link.isRetired && !link.isGated(this.#state.timings.maxDriftMs);
  }

  #counterpart(name: PeerName): Counterpart {
    const known = this.#counterparts.get(name);
    if (known !== undefined) return known;
    const counterpart: Counterpart = {
      ...{ name, isNeeded: false, link: undefined, isOpen: false, bytes: 0 },
      ...{ dialledAt: Number.NEGATIVE_INFINITY, endedAt: Number.NEGATIVE_INFINITY },
    };
    this.#counterparts.set(name, counterpart);
    return counterpart;
  }

  #deliver(delivery: Delivery): void {
    this.#state.effect({ type: "deliver", delivery });
  }
}
