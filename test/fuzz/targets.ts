/**
 * What is fuzzed: each target takes bytes, says in a word what became of them, and throws when that must
 * not be. The words guide the search: an input whose word is new is worth changing further.
 */
import assert from "node:assert";
import type { Effect } from "../../src/core/effect.ts";
import { isErrorCode } from "../../src/core/error.ts";
import { Random } from "../../src/core/random.ts";
import { keyRing } from "../../src/io/key-ring.ts";
import {
  decodeEntry,
  decodeRecord,
  encodeEntry,
  readEntryKey,
} from "../../src/io/store-records.ts";
import { decodeBody, encodeBody } from "../../src/wire/body.ts";
import { decodeFrame, decodeSnapshot, encodeFrame, encodeSnapshot } from "../../src/wire/codec.ts";
import { Handshake, type Identity } from "../../src/wire/handshake.ts";
import { decodeRpcFrame, TO_CLIENT, TO_PEER } from "../../src/wire/rpc-codec.ts";
import {
  allocationEntry,
  beat,
  HandDriven,
  life,
  rowEntry,
  verdictEntry,
} from "../core/machines.ts";
import { frameOf } from "../io/rpc-fakes.ts";
import { MAPS, SAMPLES } from "../wire/messages.ts";
import { CLIENT_SAMPLES, SERVER_SAMPLES } from "../wire/rpc-messages.ts";

export interface Target {
  readonly name: string;
  /** Bytes in front that are not MessagePack. */
  readonly head: number;
  readonly seeds: readonly Uint8Array[];
  /** Whether one input takes ms, and not a part of one. */
  readonly isSlow?: boolean;
  /** Returns what became of the bytes. Throws an error when that is a fault. */
  readonly run: (bytes: Uint8Array) => string | Promise<string>;
}

/** A text without what differs from input to input. */
export const wordOf = (text: string): string => text.replace(/\d+/g, "#").slice(0, 80);

const sampleFrames = (): Uint8Array[] => [
  ...Object.values(SAMPLES).map((message) => encodeFrame([message]).slice()),
  encodeFrame(Object.values(SAMPLES)).slice(),
];

/** Frames that decode say what they said when they are encoded again. */
const codec: Target = {
  name: "codec",
  head: 0,
  seeds: sampleFrames(),
  run(bytes) {
    const frame = decodeFrame(bytes);
    if (!frame.ok) return wordOf(frame.message);
    assert(JSON.stringify(frame).length < 64 * (bytes.length + 64), "a frame is no bomb");
    const again = decodeFrame(encodeFrame(frame.messages));
    assert.deepStrictEqual(again, { ...frame, refused: 0 });
    const types = new Set(frame.messages.map(({ type }) => type));
    return `ok ${[...types].sort().join("+").slice(0, 60)} ${Math.min(frame.refused, 2)}`;
  },
};

const snapshot: Target = {
  name: "snapshot",
  head: 1,
  seeds: [encodeSnapshot(MAPS), encodeSnapshot([])],
  run(bytes) {
    const decoded = decodeSnapshot(bytes);
    if (!decoded.ok) return wordOf(decoded.message);
    assert.deepStrictEqual(decodeSnapshot(encodeSnapshot(decoded.maps)), {
      ...decoded,
      refused: 0,
    });
    return `ok ${Math.min(decoded.maps.length, 4)} ${Math.min(decoded.refused, 2)}`;
  },
};

const identityOf = (name: string): Identity => ({
  ...{ versionLow: 1, versionHigh: 1, cluster: "hearsay", name, incarnation: `m1-${name}` },
  ...{ address: "10.0.0.1:7100", shardCount: 256, wallMs: 1000, founding: undefined },
});

const KEYS = keyRing("a secret that nobody who fuzzes knows");
const NONCE = new Uint8Array(16).fill(1);

/** The frames of a good handshake: hello, welcome, proof. */
function goodHandshake(keys = KEYS): Uint8Array[] {
  const dialler = new Handshake("dialler", identityOf("b"), NONCE, keys);
  const acceptor = new Handshake("acceptor", identityOf("a"), NONCE, keys);
  const hello = dialler.start() as Uint8Array;
  const welcomed = acceptor.receive(hello);
  assert(welcomed.type === "wait" && welcomed.reply !== undefined);
  const opened = dialler.receive(welcomed.reply);
  assert(opened.type === "open" && opened.reply !== undefined);
  return [hello, welcomed.reply, opened.reply].map((bytes) => bytes.slice());
}

/** Every frame, in every state of both ends, with a secret: nobody gets in by another proof. */
const handshake: Target = {
  name: "handshake",
  head: 0,
  seeds: [...goodHandshake(), ...goodHandshake(keyRing(undefined))],
  run(bytes) {
    const [hello, welcome, proof] = goodHandshake() as [Uint8Array, Uint8Array, Uint8Array];
    const ends = [
      { role: "acceptor", before: [] },
      { role: "acceptor", before: [hello] },
      { role: "dialler", before: [] },
      { role: "dialler", before: [welcome] },
    ] as const;
    const words = ends.map(({ role, before }) => {
      const end = new Handshake(role, identityOf(role === "acceptor" ? "a" : "b"), NONCE, KEYS);
      end.start();
      for (const frame of before) end.receive(frame);
      const step = end.receive(bytes);
      if (step.type !== "open") return step.type === "refuse" ? step.code : step.type;
      // What is proved is who they are; a frame may say more, or the rest of it differently.
      const isProof =
        role === "acceptor" && Buffer.from(bytes).includes(Buffer.from(proof.subarray(-32)));
      const isWelcome = role === "dialler" && step.remote.name === "a";
      assert(isProof || isWelcome, "nobody gets in without a proof");
      return "open";
    });
    return words.join(" ");
  },
};

const rpc: Target = {
  name: "rpc",
  head: 4,
  seeds: [...Object.values(CLIENT_SAMPLES), ...Object.values(SERVER_SAMPLES)].map((message) =>
    frameOf(message).slice(),
  ),
  run(bytes) {
    const words = [decodeRpcFrame(bytes, TO_PEER), decodeRpcFrame(bytes, TO_CLIENT)].map((frame) =>
      frame.ok ? `ok ${frame.messages[0]?.type}` : wordOf(frame.message),
    );
    return words.join(" ");
  },
};

const ENTRY_KEY = Buffer.from("allocations\0shard-1");

const records: Target = {
  name: "records",
  head: 8,
  seeds: [
    encodeEntry(ENTRY_KEY, { key: "shard-1", value: ["a"], time: 9, writer: "w" }).slice(),
    ENTRY_KEY,
    ...[encodeBody({ a: [1, "x", null, new Uint8Array(3)] })].flatMap((each) =>
      "bytes" in each ? [each.bytes] : [],
    ),
  ],
  run(bytes) {
    const record = decodeRecord(ENTRY_KEY, bytes);
    const entry = decodeEntry(ENTRY_KEY, "shard-1", bytes);
    const place = readEntryKey(bytes);
    const body = decodeBody(bytes);
    return [record, entry, place, body].map((each) => (each === undefined ? "-" : "ok")).join(" ");
  },
};

const LINKS = ["b", "c", "d"];

/** A peer that serves, hosts, and is linked with three others, who may say what they like. */
class Victim {
  readonly peer = new HandDriven("a", { shardCount: 8 });
  readonly #open = new Set<number>();

  constructor() {
    const { peer } = this;
    peer.start();
    this.#link();
    const traits = { exports: true, imports: true, remembers: true, passivateAfterMs: 1000 };
    this.#after(peer.step({ type: "host-registered", traits }));
    this.#after(peer.pass(500));
    for (let round = 0; round < 4; round += 1) {
      this.#link();
      this.#after(peer.pass(peer.now + 500));
    }
  }

  /** Does at once what the host is told, and loses the links that are closed. */
  #after(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === "close" && this.#open.delete(effect.link)) {
        const { link, code } = effect;
        this.#after(this.peer.step({ type: "link-closed", link, clean: true, ...isTold(code) }));
      }
      if (effect.type !== "host") continue;
      const { task } = effect;
      const done = { error: undefined };
      if (task.type === "acquire") {
        const { shard, token } = task;
        this.peer.step({ type: "hosted", report: { type: "acquired", shard, token, ...done } });
      } else if (task.type === "release") {
        const { shard, token } = task;
        this.peer.step({ type: "hosted", report: { type: "released", shard, token, ...done } });
      } else if (task.type === "handle") {
        const body = new Uint8Array([9]);
        this.peer.step({ type: "hosted", report: { type: "handled", work: task.work, body } });
      }
    }
  }

  /** What a frame of a linked peer leads to, and the time after it. */
  receive(bytes: Uint8Array): string {
    const frame = decodeFrame(bytes);
    if (!frame.ok) return "malformed";
    this.#link();
    const link = 1 + ((bytes[bytes.length - 1] ?? 0) % LINKS.length);
    const { messages, refused } = frame;
    const effects = this.peer.step({ type: "received", link, messages, refused });
    effects.push(...this.peer.pass(this.peer.now + (bytes.length % 400)));
    this.#after(effects);
    this.peer.machine.status();
    return wordsOf(effects);
  }

  /** All three are there, and say so. */
  #link(): void {
    LINKS.forEach((name, index) => {
      const link = index + 1;
      const isNew = !this.#open.has(link);
      this.#open.add(link);
      if (isNew) this.#after(this.peer.open(link, name));
      this.#after(this.peer.receive(link, beat(this.peer.now)));
      if (isNew) this.#after(this.peer.delta(link, "members", rowEntry(name, this.peer.now)));
    });
  }
}

const isTold = (code: string): object =>
  ["LEAVING", "DUPLICATE", "UNUSED"].includes(code) || isErrorCode(code) ? { code } : {};

/** Which effects there were; those that end a peer's life are faults, whoever asks for them. */
function wordsOf(effects: readonly Effect[]): string {
  const words = new Set<string>();
  for (const effect of effects) {
    assert(effect.type !== "stop", `a peer was stopped: ${JSON.stringify(effect)}`);
    if (effect.type === "send") words.add(effect.message.type);
    else if (effect.type === "close") words.add(`close ${effect.code}`);
    else if (effect.type === "host") words.add(`host ${effect.task.type}`);
    else words.add(effect.type);
  }
  return [...words].sort().join(" ");
}

/** How many frames one victim gets before another takes its place. */
const FRAMES_PER_VICTIM = 200;

function machine(): Target {
  let victim = new Victim();
  let frameCount = 0;
  const row = rowEntry("b", 100);
  const about = { time: row.time, writer: row.writer };
  const own = { time: rowEntry("a", 0).time, writer: life("a") };
  const deltas = [
    { map: "members", entries: [row, rowEntry("c", 90), rowEntry("e", 50, { zone: "z" })] },
    { map: "verdicts", entries: [verdictEntry("b", "c", "suspect", about, 200)] },
    { map: "verdicts", entries: [verdictEntry("a", "b", "dead", own, 300)] },
    { map: "allocations", entries: [allocationEntry("shard-1", "b", 100, life("b"))] },
  ].map((part) => encodeFrame([{ type: "delta", maps: [part] }]).slice());
  const replica = new Victim().peer.machine.entries();
  return {
    name: "machine",
    head: 0,
    seeds: [
      ...sampleFrames(),
      ...deltas,
      ...replica.map((part) => encodeFrame([{ type: "delta", maps: [part] }]).slice()),
      encodeFrame([{ type: "delta", maps: replica }]).slice(),
    ],
    run(bytes) {
      frameCount += 1;
      if (frameCount % FRAMES_PER_VICTIM === 0) victim = new Victim();
      try {
        return victim.receive(bytes);
      } catch (error) {
        victim = new Victim();
        throw error;
      }
    },
  };
}

/** All targets, made anew: some have a state. */
export const targets = (): Target[] => [...[codec, handshake, rpc, snapshot, records], machine()];

/** A source of chance for one target. */
export const randomFor = (seed: number): Random => new Random(seed);
