/**
 * The transport of one simulated peer: what `io/websocket-transport.ts` is to a real one.
 *
 * It dials and accepts, runs the real handshake, collects what a turn has to say in the real outbox,
 * and tells the machine how links begin, fare and end.
 */
import type { CloseCode, Effect } from "../src/core/effect.ts";
import type { MachineEvent } from "../src/core/event.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../src/core/limits.ts";
import type { Machine } from "../src/core/machine.ts";
import type { Random } from "../src/core/random.ts";
import type { Timings } from "../src/core/timings.ts";
import { closeStatus, codeOfStatus, type LinkCloseCode } from "../src/wire/close-code.ts";
import { decodeFrame } from "../src/wire/codec.ts";
import { Handshake, NONCE_BYTES } from "../src/wire/handshake.ts";
import { Outbox } from "../src/wire/outbox.ts";
import type { Connection, End, Side } from "./connection.ts";
import type { Network } from "./network.ts";
import type { World } from "./world.ts";

/** How long a close frame may be on its way and back until the link is ended anyway, in ms. */
const CLOSE_TIMEOUT_MS = 1000;

/** The process that links belong to: `SimulatedPeer`. */
export interface Process {
  readonly name: string;
  readonly options: { readonly timings: Timings };
  readonly machine: Pick<Machine, "identity"> | undefined;
  readonly state: "up" | "paused" | "down";
  /** Whether it does at once what there is to do: it is neither paused nor slow. */
  readonly isPrompt: boolean;
  readonly lives: number;
  readonly now: number;
  readonly wallMs: number;
  run(run: () => void): void;
  step(event: MachineEvent): void;
}

/** What a link tells the transport that it belongs to. */
interface Owner {
  onFrame(link: SimulatedLink, bytes: Uint8Array): void;
  onEnd(link: SimulatedLink, status: number | undefined): void;
  onFlow(link: SimulatedLink, type: "link-congested" | "link-drained"): void;
}

/** One end of a connection. What happens to it happens in its own life of the process, or never. */
class SimulatedLink implements End {
  readonly id: number;
  readonly connection: Connection;
  readonly side: Side;
  readonly dial: number | undefined;
  /** Undefined once the link is open. */
  handshake: Handshake | undefined;
  /** Whom it leads to, once that is known. */
  remote: string | undefined;
  /** Why this end closed it, if it did. */
  closedWith: CloseCode | undefined;
  /** The machine has closed it, though that may wait for a disk. */
  isGivenUp = false;
  readonly #peer: Process;
  readonly #owner: Owner;
  readonly #life: number;

  constructor(
    { peer, owner, id }: { readonly peer: Process; readonly owner: Owner; readonly id: number },
    connection: Connection,
    side: Side,
    dial: number | undefined,
    handshake: Handshake,
  ) {
    this.id = id;
    this.connection = connection;
    this.side = side;
    this.dial = dial;
    this.handshake = handshake;
    this.#peer = peer;
    this.#owner = owner;
    this.#life = peer.lives;
  }

  onFrame(bytes: Uint8Array): void {
    if (!this.#peer.isPrompt) this.#inLife(() => this.#owner.onFrame(this, bytes));
    else if (this.#peer.lives === this.#life) this.#owner.onFrame(this, bytes);
  }

  onEnd(status: number | undefined): void {
    this.#inLife(() => this.#owner.onEnd(this, status));
  }

  onCongested(): void {
    this.connection.world.plan(0, () => this.#onFlow("link-congested"));
  }

  onDrained(): void {
    this.#onFlow("link-drained");
  }

  #onFlow(type: "link-congested" | "link-drained"): void {
    this.#inLife(() => this.#owner.onFlow(this, type));
  }

  #inLife(run: () => void): void {
    this.#peer.run(() => {
      if (this.#peer.lives === this.#life) run();
    });
  }
}

/** The end of a connection to a process that is about to begin again. */
const NOBODY: End = {
  onFrame: () => {},
  onEnd: () => {},
  onCongested: () => {},
  onDrained: () => {},
};

export class SimulatedLinks implements Owner {
  readonly #peer: Process;
  readonly #world: World;
  readonly #network: Network;
  readonly #random: Random;
  readonly #links = new Map<number, SimulatedLink>();
  #linkCount = 0;
  #outbox: Outbox;
  /** Frames that this peer could not read. */
  malformed = 0;

  constructor(peer: Process, world: World, network: Network, random: Random) {
    this.#peer = peer;
    this.#world = world;
    this.#network = network;
    this.#random = random;
    this.#outbox = this.#newOutbox();
  }

  /** Links that the machine knows of. Handshakes under way, which pile up while it is paused, are none. */
  get openCount(): number {
    let count = 0;
    for (const { handshake } of this.#links.values()) if (handshake === undefined) count += 1;
    return count;
  }

  /** Names of those whom open links lead to. */
  remotes(): string[] {
    const open = [...this.#links.values()].filter(({ closedWith }) => closedWith === undefined);
    return open.flatMap(({ remote }) => (remote === undefined ? [] : [remote]));
  }

  /** All of them, those in handshake and those that are closing included. */
  get count(): number {
    return this.#links.size;
  }

  /** What a link runs over, the same at both ends; undefined when it is gone. */
  connectionOf(link: number): Connection | undefined {
    return this.#links.get(link)?.connection;
  }

  /** The name of the peer that an open link leads to. */
  remoteOf(link: number): string | undefined {
    return this.#links.get(link)?.remote;
  }

  /** Whether the machine has not closed a link: it hears nothing over that any more. */
  isOpen(link: number): boolean {
    const known = this.#links.get(link);
    return known !== undefined && !known.isGivenUp && known.closedWith === undefined;
  }

  /** The machine has closed a link: it will be performed. */
  giveUp(link: number): void {
    const known = this.#links.get(link);
    if (known !== undefined) known.isGivenUp = true;
  }

  perform(effect: Extract<Effect, { type: "send" | "close" | "dial" }>): void {
    if (effect.type === "dial") this.#dial(effect.dial, effect.address);
    else if (effect.type === "close") this.#close(effect.link, effect.code, effect.silent === true);
    else this.#outbox.add(effect.links, effect.message);
  }

  /** Calls `run` once all that was sent is on its way, unless the process ends before. */
  afterFlush(run: () => void): void {
    this.#outbox.afterFlush(run);
  }

  /** The process ended, or began again. What has not left yet never does. */
  drop(isDark: boolean): void {
    const links = [...this.#links.values()];
    this.#links.clear();
    this.#outbox = this.#newOutbox();
    for (const { connection } of links) {
      if (isDark) connection.vanish(this.#peer.name);
      else connection.reset();
    }
  }

  connect(connection: Connection, side: Side, dial: number | undefined): End {
    const peer = this.#peer;
    const identity = peer.machine?.identity(peer.now, peer.wallMs);
    if (identity === undefined) {
      connection.terminate(side);
      return NOBODY;
    }
    this.#linkCount += 1;
    const id = this.#linkCount;
    const nonce = new Uint8Array(NONCE_BYTES).map(() => this.#random.below(256));
    const role = side === 0 ? "dialler" : "acceptor";
    const handshake = new Handshake(role, { versionLow: 1, versionHigh: 1, ...identity }, nonce);
    const link = new SimulatedLink({ peer, owner: this, id }, connection, side, dial, handshake);
    this.#links.set(id, link);
    connection.attach(side, link);
    const hello = handshake.start();
    if (hello !== undefined) connection.send(side, hello, true);
    const timeoutMs = side === 0 ? peer.options.timings.dialTimeoutMs : HANDSHAKE_TIMEOUT_MS;
    this.#inThisLife(timeoutMs, () => {
      if (link.handshake !== undefined && this.#links.has(id)) connection.terminate(side);
    });
    return link;
  }

  onFrame(link: SimulatedLink, bytes: Uint8Array): void {
    const { id } = link;
    if (this.#links.get(id) !== link) return;
    if (link.handshake !== undefined) {
      this.#shake(link, link.handshake, bytes);
      return;
    }
    const decoded = decodeFrame(bytes);
    if (decoded.ok) {
      const { messages, refused } = decoded;
      this.#peer.step({ type: "received", link: id, messages, refused });
    } else {
      this.malformed += 1;
      this.#close(id, decoded.code, false);
    }
  }

  onEnd(link: SimulatedLink, status: number | undefined): void {
    if (!this.#links.delete(link.id)) return;
    const code = link.closedWith ?? (status === undefined ? undefined : codeOfStatus(status));
    if (link.handshake !== undefined) this.#dialFailed(link, code);
    else {
      const said = code === undefined || code === "SELF" ? {} : { code };
      this.#peer.step({ type: "link-closed", link: link.id, clean: code !== undefined, ...said });
    }
  }

  onFlow({ id }: SimulatedLink, type: "link-congested" | "link-drained"): void {
    if (this.#links.get(id)?.handshake === undefined) this.#peer.step({ type, link: id });
  }

  #newOutbox(): Outbox {
    const peer = this.#peer;
    const { flushMs } = peer.options.timings;
    const outbox: Outbox = new Outbox(
      (link, frames) => this.#write(link, frames),
      (flush) => {
        const planned = this.#world.plan(flushMs, () => {
          // A process that is stopped does not get to the end of its turn before it goes on.
          const flushNow = (): void => {
            if (outbox === this.#outbox) flush();
          };
          if (peer.state === "paused") peer.run(flushNow);
          else flushNow();
        });
        return () => planned.cancel();
      },
    );
    return outbox;
  }

  #write(id: number, frames: readonly Uint8Array[]): void {
    const link = this.#links.get(id);
    if (link === undefined || link.closedWith !== undefined) return;
    for (const frame of frames) link.connection.send(link.side, frame);
  }

  #inThisLife(delayMs: number, run: () => void): void {
    const { lives } = this.#peer;
    this.#world.plan(delayMs, () =>
      this.#peer.run(() => {
        if (this.#peer.lives === lives) run();
      }),
    );
  }

  #dial(dial: number, address: string): void {
    const peer = this.#peer;
    const { lives } = peer;
    this.#network.dial(peer.name, address, peer.options.timings.dialTimeoutMs, (result) => {
      if (peer.lives !== lives || peer.state === "down") {
        if (typeof result !== "string") result.terminate(0);
        return;
      }
      // The system connects for a process that is paused, too; frames wait for it.
      if (typeof result !== "string") this.connect(result, 0, dial);
      else peer.run(() => peer.step({ type: "dial-failed", dial, failure: result }));
    });
  }

  #close(id: number, code: CloseCode, isSilent: boolean): void {
    const link = this.#links.get(id);
    if (link === undefined || link.closedWith !== undefined) return;
    this.#outbox.flush(); // What was sent before the goodbye is said before it.
    link.closedWith = code;
    if (isSilent) {
      link.connection.terminate(link.side);
      return;
    }
    link.connection.close(link.side, closeStatus(code).status);
    this.#inThisLife(CLOSE_TIMEOUT_MS, () => {
      if (this.#links.has(id)) link.connection.terminate(link.side);
    });
  }

  #shake(link: SimulatedLink, handshake: Handshake, bytes: Uint8Array): void {
    const { id } = link;
    const step = handshake.receive(bytes);
    if (step.type === "refuse") {
      this.#links.delete(id);
      link.connection.close(link.side, closeStatus(step.code).status);
      this.#dialFailed(link, step.code);
      return;
    }
    if (step.reply) link.connection.send(link.side, step.reply, true);
    if (step.type === "wait") return;
    link.handshake = undefined;
    const { remote } = step;
    const { dial } = link;
    link.remote = remote.name;
    this.#peer.step({
      type: "link-opened",
      link: id,
      remote,
      ...(dial === undefined ? {} : { dial }),
    });
  }

  #dialFailed({ dial }: SimulatedLink, code: LinkCloseCode | undefined): void {
    if (dial === undefined) return;
    if (code === undefined) this.#peer.step({ type: "dial-failed", dial, failure: "unreachable" });
    else if (code === "SELF") this.#peer.step({ type: "dial-failed", dial, failure: "self" });
    else if (code === "DUPLICATE" || code === "LEAVING" || code === "UNUSED") {
      this.#peer.step({ type: "dial-failed", dial, failure: "rejected" });
    } else this.#peer.step({ type: "dial-failed", dial, failure: "rejected", code });
  }
}
