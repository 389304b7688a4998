/**
 * Those who should not be there: a clone, a peer of another cluster, and a hostile peer.
 *
 * The hostile peer speaks the real handshake and is admitted. Then it says what no honest peer says:
 * bytes that are no frame, frames that are cut off, rows of others, entries from the future, and parts
 * of exchanges that nobody began. None of it may change any state (the checker looks for its mark).
 */
import type { Remote } from "../src/core/event.ts";
import { type Message, NO_ERA, type Value } from "../src/core/message.ts";
import { Random } from "../src/core/random.ts";
import { encodeFrames } from "../src/wire/frames.ts";
import { Handshake, NONCE_BYTES } from "../src/wire/handshake.ts";
import { FORGED_ZONE, HOSTILE_MARK, STRANGER_NAME } from "./checkers/intrusion.ts";
import type { Connection } from "./connection.ts";
import type { Network } from "./network.ts";
import { type Observer, type PeerOptions, SimulatedPeer, WALL_START_MS } from "./peer.ts";
import type { World } from "./world.ts";

const CLONES_MAX = 3;
/** Further than any clock of a run gets: whose own is hours ahead takes what is not ahead of that [C5]. */
const FUTURE_MS = 30 * 86_400_000;
const TICKS_PER_MS = 4096;
const EPOCH_MS = 1_704_067_200_000;

export class IntruderSquad {
  readonly #world: World;
  readonly #network: Network;
  readonly #random: Random;
  readonly #observer: Observer;
  readonly #targets: readonly PeerOptions[];
  readonly #guests: SimulatedPeer[] = [];
  #hasStranger = false;

  constructor(
    world: World,
    network: Network,
    random: Random,
    observer: Observer,
    targets: readonly PeerOptions[],
  ) {
    this.#world = world;
    this.#network = network;
    this.#random = random;
    this.#observer = observer;
    this.#targets = targets;
  }

  /** Starts a second process with the name and the disk of `original`, at an address of its own. */
  clone(original: SimulatedPeer): void {
    if (this.#guests.length >= CLONES_MAX) return;
    const address = `clone-${this.#guests.length}:7100`;
    const guest = this.#guest({ ...original.options, address }, this.#observer);
    guest.disk.copyFrom(original.disk);
    guest.start();
  }

  /** Starts a peer of another cluster that dials everybody of this one. */
  stranger(): void {
    const [options] = this.#targets;
    if (this.#hasStranger || options === undefined) return;
    this.#hasStranger = true;
    const address = `${STRANGER_NAME}:7100`;
    this.#guest({ ...options, cluster: "another", name: STRANGER_NAME, address }, {}).start();
  }

  /** Dials somebody and misbehaves. */
  hostile(): void {
    const target = this.#random.pick(this.#targets);
    if (target === undefined) return;
    this.#network.dial(HOSTILE_MARK, target.address, 1000, (result) => {
      if (typeof result !== "string") this.#misbehave(result, target);
    });
  }

  /** The end of all intrusion. */
  leave(): void {
    for (const guest of this.#guests) guest.kill();
  }

  #guest(options: PeerOptions, observer: Observer): SimulatedPeer {
    const random = new Random(this.#random.uint32());
    const guest = new SimulatedPeer(this.#world, this.#network, options, random, observer);
    this.#guests.push(guest);
    return guest;
  }

  #misbehave(connection: Connection, target: PeerOptions): void {
    const { cluster, shardCount } = target;
    const incarnation = `${HOSTILE_MARK}-${this.#random.uint32()}`;
    const identity = {
      ...{ versionLow: 1, versionHigh: 1, cluster, name: HOSTILE_MARK, incarnation, shardCount },
      address: `${HOSTILE_MARK}:7100`,
      wallMs: WALL_START_MS + this.#world.now,
      founding: undefined,
    };
    const handshake = new Handshake("dialler", identity, this.#bytes(NONCE_BYTES));
    connection.attach(0, {
      onFrame: (bytes) => {
        const step = handshake.receive(bytes);
        if (step.type === "open") {
          if (step.reply) connection.send(0, step.reply);
          this.#attack(connection, step.remote);
        }
      },
      onEnd: () => {},
      onCongested: () => {},
      onDrained: () => {},
    });
    const hello = handshake.start();
    if (hello !== undefined) connection.send(0, hello);
  }

  #attack(connection: Connection, victim: Remote): void {
    const rounds = 1 + this.#random.below(20);
    for (let round = 0; round < rounds; round += 1) {
      for (const frame of this.#nonsense(victim)) {
        this.#world.plan(this.#random.below(3000), () => connection.send(0, frame));
      }
    }
    this.#world.plan(3000 + this.#random.below(5000), () => connection.terminate(0));
  }

  #nonsense(victim: Remote): Uint8Array[] {
    const { name, incarnation } = victim;
    const exchange = this.#random.below(65_536);
    const from = this.#random.below(4096);
    const messages: Message[] = [
      {
        type: "head",
        exchange,
        entryCount: from,
        summary: this.#bytes(31),
        pulled: from % 2 === 0,
        era: from % 3 === 0 ? { number: from, mark: exchange, before: 1 } : NO_ERA,
      },
      { type: "symbols", exchange, from: 0, cells: this.#bytes(12 * this.#random.below(50)) },
      { type: "more", exchange, from, count: 4096 },
      { type: "want", exchange, ids: this.#bytes(8 * this.#random.below(50)) },
      { type: "done", exchange },
      { type: "snapshot-request", exchange, cursor: from },
      { type: "snapshot-offer", exchange },
      { type: "probe-answer", probe: this.#random.below(20), outcome: "refused" },
      { type: "probe", probe: 1, subject: name, incarnation: "x", address: "127.0.0.1:22" },
      this.#forgery("allocations", "shard-0", [HOSTILE_MARK], FUTURE_MS),
      this.#forgery("members", name, ["left", "somebody-else", 0, "x:1", null, 1, false, 0, 0], 0),
      this.#forgedRow(victim, incarnation),
      this.#forgedRow(victim, `0-${FORGED_ZONE}`),
    ];
    const message = messages[this.#random.below(messages.length)] as Message;
    const frames = encodeFrames([message]);
    const dice = this.#random.below(10);
    if (dice === 0) return [this.#bytes(this.#random.below(200))];
    if (dice === 1) return frames.map((frame) => frame.subarray(0, frame.length - 1));
    return frames;
  }

  /** A row of the victim that looks as if `incarnation` had written it. */
  #forgedRow({ name, address }: Remote, incarnation: string): Message {
    const status = this.#random.chance(0.5) ? "alive" : "left";
    const row = [status, incarnation, 0, address, FORGED_ZONE, 3, true, 0, 0];
    return this.#forgery("members", name, row, 0, incarnation);
  }

  #forgery(
    map: string,
    key: string,
    value: Value,
    aheadMs: number,
    writer = HOSTILE_MARK,
  ): Message {
    const wallMs = WALL_START_MS + this.#world.now + aheadMs;
    // The counter is one that no peer gets to: not even by chance is the stamp somebody's.
    const time = Math.floor(wallMs - EPOCH_MS) * TICKS_PER_MS + TICKS_PER_MS - 1;
    return { type: "delta", maps: [{ map, entries: [{ key, value, time, writer }] }] };
  }

  #bytes(length: number): Uint8Array {
    return new Uint8Array(length).map(() => this.#random.below(256));
  }
}
