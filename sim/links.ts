/**
 * The transport of one simulated peer: what `io/websocket-transport.ts` is to a real one.
 *
 * It dials and accepts, runs the real handshake, puts all messages that one turn has for a link into
 * real frames, and tells the machine how links begin, fare and end.
 */
import type { CloseCode, Effect } from "../src/core/effect.ts";
import type { MachineEvent } from "../src/core/event.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../src/core/limits.ts";
import type { Machine } from "../src/core/machine.ts";
import type { Message } from "../src/core/message.ts";
import type { Random } from "../src/core/random.ts";
import type { Timings } from "../src/core/timings.ts";
import { closeStatus, codeOfStatus, type LinkCloseCode } from "../src/wire/close-code.ts";
import { decodeFrame } from "../src/wire/codec.ts";
import { encodeFrames } from "../src/wire/frames.ts";
import { Handshake, NONCE_BYTES } from "../src/wire/handshake.ts";
import type { Connection, End, Side } from "./connection.ts";
import type { Network } from "./network.ts";
import type { World } from "./world.ts";

/** How long a close frame may be on its way and back until the link is ended anyway, in ms. */
const CLOSE_TIMEOUT_MS = 1000;

/** The process that links belong to: `SimulatedPeer`. */
export interface Process {
  readonly name: string;
  readonly options: { readonly timings: Timings };
  readonly machine: Machine | undefined;
  readonly state: "up" | "paused" | "down";
  readonly lives: number;
  readonly now: number;
  readonly wallMs: number;
  run(run: () => void): void;
  step(event: MachineEvent): void;
}

interface SimulatedLink {
  readonly connection: Connection;
  readonly side: Side;
  readonly dial: number | undefined;
  /** Undefined once the link is open. */
  handshake: Handshake | undefined;
  outbox: Message[];
  /** Why this end closed it, if it did. */
  closedWith: CloseCode | undefined;
}

/** The end of a connection to a process that is about to begin again. */
const NOBODY: End = {
  onFrame: () => {},
  onEnd: () => {},
  onCongested: () => {},
  onDrained: () => {},
};

export class SimulatedLinks {
  readonly #peer: Process;
  readonly #world: World;
  readonly #network: Network;
  readonly #random: Random;
  readonly #links = new Map<number, SimulatedLink>();
  #linkCount = 0;
  /** Frames that this peer could not read. */
  malformed = 0;

  constructor(peer: Process, world: World, network: Network, random: Random) {
    this.#peer = peer;
    this.#world = world;
    this.#network = network;
    this.#random = random;
  }

  /** Links that the machine knows of. Handshakes under way, which pile up while it is paused, are none. */
  get openCount(): number {
    let count = 0;
    for (const { handshake } of this.#links.values()) if (handshake === undefined) count += 1;
    return count;
  }

  perform(effect: Extract<Effect, { type: "send" | "close" | "dial" }>): void {
    if (effect.type === "dial") this.#dial(effect.dial, effect.address);
    else if (effect.type === "close") this.#close(effect.link, effect.code, effect.silent === true);
    else for (const link of effect.links) this.#send(link, effect.message);
  }

  /** The process ended, or began again. */
  drop(isDark: boolean): void {
    const links = [...this.#links.values()];
    this.#links.clear();
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
    const link = { connection, side, handshake, dial, closedWith: undefined, outbox: [] };
    this.#links.set(id, link);
    const end = this.#end(id);
    connection.attach(side, end);
    const hello = handshake.start();
    if (hello !== undefined) connection.send(side, hello);
    const timeoutMs = side === 0 ? peer.options.timings.dialTimeoutMs : HANDSHAKE_TIMEOUT_MS;
    this.#inThisLife(timeoutMs, () => {
      if (link.handshake !== undefined && this.#links.has(id)) connection.terminate(side);
    });
    return end;
  }

  #end(id: number): End {
    const { lives } = this.#peer;
    const guarded = (run: () => void) =>
      this.#peer.run(() => {
        if (this.#peer.lives === lives) run();
      });
    const tell = (type: "link-congested" | "link-drained") =>
      guarded(() => {
        const link = this.#links.get(id);
        if (link?.handshake === undefined) this.#peer.step({ type, link: id });
      });
    return {
      onFrame: (bytes) => guarded(() => this.#onFrame(id, bytes)),
      onEnd: (status) => guarded(() => this.#onEnd(id, status)),
      onCongested: () => this.#world.plan(0, () => tell("link-congested")),
      onDrained: () => tell("link-drained"),
    };
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

  #send(id: number, message: Message): void {
    const link = this.#links.get(id);
    if (link === undefined || link.closedWith !== undefined) return;
    link.outbox.push(message);
    const { flushMs } = this.#peer.options.timings;
    if (link.outbox.length === 1) this.#world.plan(flushMs, () => this.#flush(link));
  }

  #flush(link: SimulatedLink): void {
    const { outbox, connection, side } = link;
    if (outbox.length === 0) return;
    link.outbox = [];
    for (const frame of encodeFrames(outbox)) connection.send(side, frame);
  }

  #close(id: number, code: CloseCode, isSilent: boolean): void {
    const link = this.#links.get(id);
    if (link === undefined || link.closedWith !== undefined) return;
    link.closedWith = code;
    this.#flush(link);
    if (isSilent) {
      link.connection.terminate(link.side);
      return;
    }
    link.connection.close(link.side, closeStatus(code).status);
    this.#inThisLife(CLOSE_TIMEOUT_MS, () => {
      if (this.#links.has(id)) link.connection.terminate(link.side);
    });
  }

  #onFrame(id: number, bytes: Uint8Array): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    if (link.handshake !== undefined) {
      this.#shake(id, link, link.handshake, bytes);
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

  #shake(id: number, link: SimulatedLink, handshake: Handshake, bytes: Uint8Array): void {
    const step = handshake.receive(bytes);
    if (step.type === "refuse") {
      this.#links.delete(id);
      link.connection.close(link.side, closeStatus(step.code).status);
      this.#dialFailed(link, step.code);
      return;
    }
    if (step.reply) link.connection.send(link.side, step.reply);
    if (step.type === "wait") return;
    link.handshake = undefined;
    const { remote } = step;
    const { dial } = link;
    this.#peer.step({
      type: "link-opened",
      link: id,
      remote,
      ...(dial === undefined ? {} : { dial }),
    });
  }

  #onEnd(id: number, status: number | undefined): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.#links.delete(id);
    const code = status === undefined ? undefined : codeOfStatus(status);
    if (link.handshake !== undefined) this.#dialFailed(link, code);
    else {
      const clean = code !== undefined || link.closedWith !== undefined;
      this.#peer.step({ type: "link-closed", link: id, clean });
    }
  }

  #dialFailed({ dial }: SimulatedLink, code: LinkCloseCode | undefined): void {
    if (dial === undefined) return;
    if (code === undefined) this.#peer.step({ type: "dial-failed", dial, failure: "unreachable" });
    else if (code === "SELF") this.#peer.step({ type: "dial-failed", dial, failure: "self" });
    else if (code === "DUPLICATE" || code === "LEAVING") {
      this.#peer.step({ type: "dial-failed", dial, failure: "rejected" });
    } else this.#peer.step({ type: "dial-failed", dial, failure: "rejected", code });
  }
}
