/**
 * The three frames that open a link, before anything reaches the state machine.
 *
 *   dialler                                   acceptor
 *      | -- hello:   who I am ------------------> |
 *      | <------------ welcome: who I am, proof - |
 *   open                                          |
 *      | -- proof ------------------------------> |
 *                                               open
 *
 *   hello, welcome   [MAGIC, kind, versionLow, versionHigh, cluster, name, incarnation, address,
 *                     shardCount, wallMs, founding or null, era or null, flags, nonce, key names,
 *                     (welcome only:) proof]
 *   proof            [MAGIC, kind, proof]
 *
 * Theory of operation
 *
 * Each end judges the other by its first frame: the magic word (a stranger's protocol ends there),
 * the versions, and only then the rest, since another version may say the rest differently. A later
 * version may also append fields: those behind the ones listed are passed over. The highest version
 * that both speak is spoken.
 *
 * Cluster and shard count must be equal. A peer that meets its own incarnation has dialled itself.
 * Everything else about the other end is for the state machine to judge.
 *
 * Both ends have a secret in common, or neither has one; anything else is refused with `AUTH_FAILED`.
 * What is proved, and how keys are chosen, is in `proof.ts`. A peer without a secret proves nothing, by
 * an empty proof. Where links are encrypted, the name must be that of the other end's certificate, too.
 *
 * Deliberately absent: time. Whoever holds the socket closes it when this takes too long [S9].
 *
 * Rules: SPEC.md, S1, S4, S5 and S7.
 */
import { assert } from "../core/assert.ts";
import type { Era } from "../core/eras.ts";
import type { ErrorCode } from "../core/error.ts";
import type { DialMark, Remote } from "../core/event.ts";
import {
  CLUSTER_NAME_LENGTH_MAX,
  HANDSHAKE_FRAME_BYTES_MAX,
  SHARDS_MAX,
  WRITER_LENGTH_MAX,
} from "../core/limits.ts";
import {
  type Address,
  type Incarnation,
  NAME_PATTERN,
  type PeerName,
  type Stamp,
  type WallMs,
} from "../core/units.ts";
import { type ByteLimits, TOO_LARGE } from "./byte-check.ts";
import {
  isAddress,
  isBytes,
  isIncarnation,
  isIntegerWithin,
  isMsWithin,
  isName,
  isText,
} from "./guards.ts";
import { pack, unpack } from "./msgpack.ts";
import {
  commonKey,
  KEY_ID_BYTES,
  KEYS_MAX,
  type KeyRing,
  NO_KEYS,
  type Party,
  PROOF_BYTES,
  statement,
} from "./proof.ts";
import { ownText } from "./sharing.ts";

/** What a peer says of itself in hello and welcome. */
export interface Identity {
  /** The lowest and highest protocol version that it speaks. */
  readonly versionLow: number;
  readonly versionHigh: number;
  readonly cluster: string;
  readonly name: PeerName;
  readonly incarnation: Incarnation;
  /** Where it can be dialled. */
  readonly address: Address;
  /** How many shards it was configured with [R6]. */
  readonly shardCount: number;
  /** Its wall clock now. */
  readonly wallMs: WallMs;
  /** The stamp of the founding that it belongs to; undefined while it waits for one [A0]. */
  readonly founding: Stamp | undefined;
  /** The era that it belongs to; undefined while it waits for a founding [M5]. */
  readonly era?: Era | undefined;
  /** Whether it is on a side that may host, without a doubt about its name [F7]. */
  readonly isHosting?: boolean;
  /** Whether it knows of other members of its founding [A0]. */
  readonly isAccompanied?: boolean;
}

export type HandshakeStep =
  /** Go on waiting; send `reply` first, if there is one. */
  | { readonly type: "wait"; readonly reply?: Uint8Array }
  /** The link is open, once `reply` is sent. */
  | {
      readonly type: "open";
      readonly reply?: Uint8Array;
      readonly remote: Remote;
      readonly version: number;
    }
  /** Close the link with `code`. */
  | { readonly type: "refuse"; readonly code: ErrorCode | "SELF"; readonly message: string };

type Refuse = Extract<HandshakeStep, { readonly type: "refuse" }>;

/** Bytes of a nonce. */
export const NONCE_BYTES = 16;

const MAGIC = "hearsay";
/** The highest protocol version that can be spoken of: 16 bits. */
const VERSION_MAX = 65_535;
const LIMITS: ByteLimits = { bytesMax: HANDSHAKE_FRAME_BYTES_MAX, elementsMax: 64 };

type Role = "dialler" | "acceptor";
type Kind = "hello" | "welcome" | "proof";
type State = "expecting-hello" | "expecting-welcome" | "expecting-proof" | "open" | "refused";

/** A kind travels as its place in this list. */
const KINDS: readonly Kind[] = ["hello", "welcome", "proof"];

/** Every pair is listed. Null marks a frame before or after its turn, which refuses the link. */
const TRANSITIONS: Record<State, Record<Kind, State | null>> = {
  "expecting-hello": { hello: "expecting-proof", welcome: null, proof: null },
  "expecting-welcome": { hello: null, welcome: "open", proof: null },
  "expecting-proof": { hello: null, welcome: null, proof: "open" },
  open: { hello: null, welcome: null, proof: null },
  refused: { hello: null, welcome: null, proof: null },
};

/** What a hello or a welcome established. */
interface Introduction {
  readonly remote: Remote;
  readonly version: number;
  readonly nonce: Uint8Array;
  /** Place of the key that this end proves with; -1 where neither end has a secret. */
  readonly key: number;
}

/** The handshake of one link, seen from one end. */
export class Handshake {
  readonly #role: Role;
  readonly #identity: Identity;
  readonly #nonce: Uint8Array;
  readonly #keys: KeyRing;
  readonly #mayBe: (name: PeerName) => boolean;
  #state: State;
  /** The other end, once its hello or welcome was good. */
  #introduction: Introduction | undefined;

  /**
   * `nonce` is 16 random bytes that no other handshake has had. `mayBe` says whether the other end may be
   * called that, by its certificate; default: any name.
   */
  constructor(
    role: Role,
    identity: Identity,
    nonce: Uint8Array,
    keys: KeyRing = NO_KEYS,
    mayBe: (name: PeerName) => boolean = () => true,
  ) {
    assert(nonce.length === NONCE_BYTES, "a nonce has 16 bytes");
    assert(keys.ids.length <= KEYS_MAX, "a peer has few keys");
    this.#role = role;
    this.#keys = keys;
    this.#mayBe = mayBe;
    this.#identity = identity;
    this.#nonce = nonce;
    this.#state = role === "dialler" ? "expecting-welcome" : "expecting-hello";
  }

  /** The frame to send first: the dialler's hello. Undefined for the acceptor, who waits for it. */
  start(): Uint8Array | undefined {
    return this.#state === "expecting-welcome" ? this.#introduce("hello") : undefined;
  }

  /** Takes one frame of the other end. Never throws, whatever the bytes; after a refusal all are refused. */
  receive(bytes: Uint8Array): HandshakeStep {
    const step = this.#step(bytes);
    if (step.type === "refuse") this.#state = "refused";
    return step;
  }

  #step(bytes: Uint8Array): HandshakeStep {
    const unpacked = unpack(bytes, LIMITS);
    if ("reason" in unpacked) {
      const code = unpacked.reason === TOO_LARGE ? "FRAME_TOO_LARGE" : "MALFORMED_FRAME";
      return refuse(code, `Cannot link by a frame that ${unpacked.reason}`);
    }
    const [magic, place, ...fields] = unpacked.elements;
    const kind = typeof place === "number" ? KINDS[place] : undefined;
    if (magic !== MAGIC || kind === undefined) {
      return refuse("MALFORMED_FRAME", "Cannot link with an end that does not speak hearsay");
    }
    const next = TRANSITIONS[this.#state][kind];
    if (next === null) {
      return refuse("MALFORMED_FRAME", `Cannot take a ${kind} out of its turn`);
    }
    this.#state = next;
    return kind === "proof" ? this.#takeProof(fields) : this.#takeIntroduction(kind, fields);
  }

  #takeIntroduction(kind: "hello" | "welcome", fields: readonly unknown[]): HandshakeStep {
    const introduction = readIntroduction(fields, this.#identity, this.#keys);
    if ("code" in introduction) return introduction;
    if (!this.#mayBe(introduction.remote.name)) {
      return refuse("AUTH_FAILED", "Cannot link with a peer without a certificate of its name"); // [S7]
    }
    this.#introduction = introduction;
    if (kind === "hello") return { type: "wait", reply: this.#introduce("welcome") };
    const refusal = this.#judgeProof(fields[PROOF_FIELD], introduction);
    if (refusal !== undefined) return refusal;
    const { remote, version } = introduction;
    const dial = dialMark(this.#identity, this.#nonce);
    const reply = frame("proof", this.#proof(introduction));
    return { type: "open", reply, remote: { ...remote, dial }, version };
  }

  #takeProof([proof]: readonly unknown[]): HandshakeStep {
    const introduction = this.#introduction;
    assert(introduction !== undefined, "a proof is expected only behind a hello");
    const { remote, nonce, version } = introduction;
    const dial = dialMark(remote, nonce);
    const refusal = this.#judgeProof(proof, introduction);
    return refusal ?? { type: "open", remote: { ...remote, dial }, version };
  }

  #introduce(kind: "hello" | "welcome"): Uint8Array {
    const { versionLow, versionHigh, cluster, name, incarnation, address } = this.#identity;
    const { shardCount, wallMs, founding, era, isHosting, isAccompanied } = this.#identity;
    const flags = (isHosting ? FLAG_HOSTING : 0) | (isAccompanied ? FLAG_ACCOMPANIED : 0);
    return frame(
      kind,
      ...[versionLow, versionHigh, cluster, name, incarnation, address, shardCount, wallMs],
      founding === undefined ? null : [founding.time, founding.writer],
      era === undefined
        ? null
        : [era.number, ...stampFields(era.stamp), ...stampFields(era.previous)],
      flags,
      this.#nonce,
      this.#keys.ids,
      ...(this.#introduction === undefined ? [] : [this.#proof(this.#introduction)]),
    );
  }

  /** This end's proof; empty where neither end has a secret. */
  #proof(introduction: Introduction): Uint8Array {
    if (introduction.key < 0) return new Uint8Array(0);
    return this.#keys.prove(introduction.key, this.#statement(this.#role, introduction));
  }

  /** [S1] Says what is wrong with the other end's proof; undefined when nothing is. */
  #judgeProof(proof: unknown, introduction: Introduction): Refuse | undefined {
    if (!isBytes(proof, 1, PROOF_BYTES)) return malformed("proof");
    const other = this.#role === "dialler" ? "acceptor" : "dialler";
    const isGood =
      introduction.key < 0
        ? proof.length === 0
        : this.#keys.accepts(proof, this.#statement(other, introduction));
    return isGood ? undefined : refuse("AUTH_FAILED", "Cannot link by a proof that is wrong");
  }

  #statement(role: Role, { remote, version, nonce }: Introduction): Uint8Array {
    const { cluster, name, incarnation, address } = this.#identity;
    const own: Party = { name, incarnation, address, nonce: this.#nonce };
    const other: Party = { ...remote, nonce };
    const link = { version, cluster };
    return this.#role === "dialler"
      ? statement(role, link, own, other)
      : statement(role, link, other, own);
  }
}

/** [G7] What both ends know of a hello, and of no other. */
function dialMark({ wallMs }: { readonly wallMs: WallMs }, nonce: Uint8Array): DialMark {
  const mark = nonce.subarray(0, 4).reduce((sum, byte) => 256 * sum + byte, 0);
  return { wallMs, mark };
}

/** Where the proof stands among the fields of a welcome. */
const PROOF_FIELD = 13;

/** What the flags say. Those of a later version are passed over. */
const FLAG_HOSTING = 1;
const FLAG_ACCOMPANIED = 2;
const FLAGS_MAX = 255;

function frame(kind: Kind, ...fields: readonly unknown[]): Uint8Array {
  return pack([MAGIC, KINDS.indexOf(kind), ...fields]);
}

/** [S1] Judges who the other end says it is, against who this one is. */
function readIntroduction(
  fields: readonly unknown[],
  own: Identity,
  keys: KeyRing,
): Introduction | Refuse {
  const [versionLow, versionHigh, cluster, name, incarnation, address] = fields;
  const [shardCount, wallMs, founding, era, flags, nonce, keyIds] = fields.slice(6);
  if (!isIntegerWithin(versionLow, 0, VERSION_MAX)) return malformed("versions");
  if (!isIntegerWithin(versionHigh, versionLow, VERSION_MAX)) return malformed("versions");
  const version = Math.min(versionHigh, own.versionHigh);
  if (version < Math.max(versionLow, own.versionLow)) {
    return refuse(
      "VERSION_MISMATCH",
      `Cannot link with versions ${versionLow} to ${versionHigh}: ` +
        `this peer speaks ${own.versionLow} to ${own.versionHigh}`,
    );
  }
  if (!isText(cluster, CLUSTER_NAME_LENGTH_MAX)) return malformed("cluster");
  if (!isName(name)) return malformed("name");
  if (!isIncarnation(incarnation)) return malformed("incarnation");
  if (!isAddress(address)) return malformed("address");
  if (!isIntegerWithin(shardCount, 0, SHARDS_MAX)) return malformed("shard count");
  if (!isMsWithin(wallMs, 0)) return malformed("wall clock");
  const stamp = founding === null ? undefined : readStamp(founding);
  if (founding !== null && stamp === undefined) return malformed("founding");
  const line = era === null ? undefined : readEra(era);
  if (era !== null && line === undefined) return malformed("era");
  if (!isIntegerWithin(flags, 0, FLAGS_MAX)) return malformed("flags");
  if (!isBytes(nonce, NONCE_BYTES, NONCE_BYTES) || nonce.length === 0) return malformed("nonce");
  if (!isKeyIds(keyIds)) return malformed("list of keys");
  const refusal = judgeCluster(cluster, shardCount, own) ?? judgeKeys(keyIds, keys);
  if (refusal !== undefined) return refusal;
  if (incarnation === own.incarnation) {
    return refuse("SELF", `Cannot link with "${own.name}": it is this very peer`);
  }
  const remote: Remote = {
    name: ownText(name),
    incarnation: ownText(incarnation),
    address: ownText(address),
    wallMs,
    founding: stamp,
    era: line,
    isHosting: (flags & FLAG_HOSTING) !== 0,
    isAccompanied: (flags & FLAG_ACCOMPANIED) !== 0,
  };
  return { remote, version, nonce: nonce.slice(), key: commonKey(keys.ids, keyIds) };
}

function judgeCluster(cluster: string, shardCount: number, own: Identity): Refuse | undefined {
  if (cluster !== own.cluster) {
    // Quoted only where it cannot be anything but a name.
    const theirs = NAME_PATTERN.test(cluster) ? `cluster "${cluster}"` : "another cluster";
    const ours = `this peer belongs to "${own.cluster}"`;
    return refuse("CLUSTER_MISMATCH", `Cannot link with ${theirs}: ${ours}`);
  }
  if (shardCount !== own.shardCount) {
    return refuse(
      "CLUSTER_MISMATCH", // [R6]
      `Cannot link with a peer of ${shardCount} shards: this peer has ${own.shardCount}`,
    );
  }
  return undefined;
}

/** [S1] Either both ends have a secret, the same one, or neither has any. */
function judgeKeys(theirs: readonly Uint8Array[], { ids }: KeyRing): Refuse | undefined {
  if (ids.length === 0 && theirs.length === 0) return undefined;
  if (ids.length === 0) {
    return refuse("AUTH_FAILED", "Cannot link with a peer that has a secret: this peer has none");
  }
  if (theirs.length === 0) {
    return refuse("AUTH_FAILED", "Cannot link with a peer that has no secret: this peer has one");
  }
  if (commonKey(ids, theirs) >= 0) return undefined;
  return refuse("AUTH_FAILED", "Cannot link with a peer that has another secret");
}

function isKeyIds(value: unknown): value is readonly Uint8Array[] {
  if (!Array.isArray(value) || value.length > KEYS_MAX) return false;
  return value.every((id) => isBytes(id, KEY_ID_BYTES, KEY_ID_BYTES) && id.length > 0);
}

function readStamp(value: unknown): Stamp | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [time, writer] = value as unknown[];
  return isIntegerWithin(time, 0, Number.MAX_SAFE_INTEGER) && isText(writer, WRITER_LENGTH_MAX)
    ? { time, writer: ownText(writer) }
    : undefined;
}

function readEra(value: unknown): Era | undefined {
  if (!Array.isArray(value) || value.length !== 5) return undefined;
  const [number, ...stamps] = value as unknown[];
  const [stamp, previous] = [readStamp(stamps.slice(0, 2)), readStamp(stamps.slice(2))];
  if (!isIntegerWithin(number, 0, Number.MAX_SAFE_INTEGER)) return undefined;
  return stamp && previous && { number, stamp, previous };
}

function stampFields({ time, writer }: Stamp): readonly [number, string] {
  return [time, writer];
}

function malformed(what: string): Refuse {
  return refuse("MALFORMED_FRAME", `Cannot link by a frame whose ${what} is malformed`);
}

function refuse(code: Refuse["code"], message: string): Refuse {
  return { type: "refuse", code, message };
}
