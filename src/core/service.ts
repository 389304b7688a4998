/**
 * Everything about shards that are served and asked: what the state machine hands to hosting and routing.
 *
 * The parts know each other only through here: the router gives messages to the reception, the
 * reception asks hosting whether a shard is served, hosting tells the router when an entry has changed.
 */
import type { MachineEvent } from "./event.ts";
import { Hosting } from "./hosting.ts";
import type { Link } from "./link.ts";
import type { HostMessage } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import { Reception } from "./reception.ts";
import { Router } from "./router.ts";
import type { Address, Incarnation, Instant, PeerName } from "./units.ts";

/** The events that are about hosts and asks alone. */
export type ServiceEvent = Extract<
  MachineEvent,
  { readonly type: "host-registered" | "hosted" | "asked" | "ask-given-up" }
>;

type LinkClosed = Extract<MachineEvent, { type: "link-closed" }>;

export interface ServiceHooks {
  /** Starts an exchange on a link. */
  synchronise(link: Link): void;
  /** Dials a region that asks wait for. */
  dial(address: Address, region: PeerName): void;
  /** This peer serves shards by a host from now on, which others have to know. */
  hosting(): void;
  /** The entry of a shard has changed. */
  moved(shard: string): void;
}

export class Service {
  readonly hosting: Hosting;
  readonly router: Router;
  readonly #reception: Reception;
  readonly #state: PeerState;
  readonly #hooks: ServiceHooks;

  constructor(state: PeerState, hooks: ServiceHooks) {
    this.#state = state;
    this.#hooks = hooks;
    this.#reception = new Reception(state, {
      takes: (shard) => this.hosting.takes(shard),
      start: (work, running) => this.hosting.start(work, running),
      entity: (shard, entity, isStarted) => this.hosting.entity(shard, entity, isStarted),
      expired: (item) => {
        const message = "Its time was over before its turn came; it was not handled";
        this.#reception.answer(item, { how: "failed", code: "TIMEOUT", message });
      },
      synchronise: (link) => hooks.synchronise(link),
      answeredHere: (ask, outcome) => this.router.answeredHere(ask, outcome),
    });
    this.hosting = new Hosting(state, this.#reception, (shard) => {
      this.router.moved(shard);
      hooks.moved(shard);
    });
    this.router = new Router(state, {
      deliver: (ask) => this.#reception.askedHere(ask),
      dial: (address, region) => hooks.dial(address, region),
    });
  }

  handle(event: ServiceEvent): void {
    switch (event.type) {
      case "host-registered":
        this.hosting.register(event.traits);
        this.#hooks.hosting();
        break;
      case "hosted":
        this.hosting.reported(event.report);
        break;
      case "asked":
        this.router.asked(event);
        break;
      case "ask-given-up":
        this.router.givenUp(event.ask);
    }
  }

  received(link: Link, message: HostMessage): void {
    switch (message.type) {
      case "ask":
        this.#reception.asked(link, message);
        break;
      case "answer":
        this.router.answered(link, message.ask, message.outcome);
        break;
      case "chunk":
        this.hosting.catchUp();
        this.hosting.transfer.received(link, message);
        break;
      case "chunk-taken":
        this.hosting.transfer.taken(link, message);
        break;
      case "stop":
      case "stopped":
        this.hosting.asked(link, message);
    }
  }

  /** A link is gone, which led `to` this life of a peer; undefined when this end had given it up. */
  linkClosed({ link, clean, code }: LinkClosed, to: Incarnation | undefined): void {
    // [H3] Who leaves has answered what it took, and so has who gives up a link without use. What went
    // over a duplicate is answered elsewhere.
    const isFarewell = clean && (code === "LEAVING" || code === "UNUSED");
    const isReplaced = to !== undefined && clean && code === "DUPLICATE";
    if (isReplaced) this.router.replaced(link, to);
    else this.router.linkClosed(link, isFarewell);
    this.#reception.linkClosed(link, isReplaced ? undefined : to);
    this.hosting.transfer.linkClosed();
  }

  /** [A9] This peer was paused for so long that others may have gone on without it. */
  suspend(): void {
    if (!this.#state.joined) return;
    this.#state.isStale = true;
    this.#reception.work.isHeld = true;
  }

  /** An exchange has ended, or there is nobody to have one with. */
  resume(): void {
    if (!this.#state.isStale) return;
    this.#state.isStale = false;
    this.hosting.resume();
  }

  pulse(): void {
    this.#reception.pulse();
  }

  /** This peer is about to say goodbye: nothing is served, and nobody is left without an answer. */
  finish(): void {
    this.hosting.giveUpAll();
    this.#reception.flush();
  }

  /** Acts on what the table says by now. */
  catchUp(): void {
    this.hosting.catchUp();
  }

  settle(): void {
    this.hosting.settle();
    this.router.settle();
    this.#reception.settle();
    this.hosting.catchUp();
  }

  deadline(): Instant {
    return Math.min(this.hosting.deadline(), this.router.deadline());
  }
}
