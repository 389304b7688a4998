/**
 * How two peers prove to each other that they know a secret, without saying it.
 *
 * Each end says which keys it accepts, by names that tell nothing else about them, and proves with the
 * first of its own that the other accepts. So a secret is rotated without an order to be kept: add the
 * new one everywhere, then take the old one away everywhere; in between any two peers have one in common.
 *
 * A proof covers who says it, the version that was settled on, and what both ends said of themselves
 * with the nonces of both, so that it cannot be turned around, replayed, or used for another pair. It
 * does not cover what follows on the link: that is TLS's part.
 *
 * Deliberately absent: HMAC-SHA256 itself, which is given to it (`io/key-ring.ts`).
 *
 * Rules: SPEC.md, S1 and S6.
 */
import type { Address, Incarnation, PeerName } from "../core/units.ts";
import { pack } from "./msgpack.ts";

/** Bytes of a key's name. */
export const KEY_ID_BYTES = 8;

/** Keys that one end may accept at once: the old, the new, and room for a rotation that went wrong. */
export const KEYS_MAX = 4;

/** Bytes of a proof: HMAC-SHA256. */
export const PROOF_BYTES = 32;

/** The secrets that one end knows, most wanted first. */
export interface KeyRing {
  /** Names of its keys, at most `KEYS_MAX`; none means that it has no secret and asks for none. */
  readonly ids: readonly Uint8Array[];
  /** The proof of `bytes` by the key of that place in `ids`. */
  prove(place: number, bytes: Uint8Array): Uint8Array;
  /** Whether `proof` is one of `bytes` by any of its keys, in a time that tells nothing. */
  accepts(proof: Uint8Array, bytes: Uint8Array): boolean;
}

/** What a peer without a secret has. */
export const NO_KEYS: KeyRing = {
  ids: [],
  prove: () => new Uint8Array(0),
  accepts: () => false,
};

/** What one end said of itself that a proof covers. */
export interface Party {
  readonly name: PeerName;
  readonly incarnation: Incarnation;
  readonly address: Address;
  readonly nonce: Uint8Array;
}

/** What the end of that role proves that it has said and heard. Every part has its length before it. */
export function statement(
  role: "dialler" | "acceptor",
  link: { readonly version: number; readonly cluster: string },
  dialler: Party,
  acceptor: Party,
): Uint8Array {
  const said = [dialler, acceptor].flatMap(({ name, incarnation, address, nonce }) => [
    ...[name, incarnation, address],
    nonce,
  ]);
  return pack(["hearsay proof", role, link.version, link.cluster, ...said]).slice();
}

/** The place in `own` of the first key that the other end accepts, too; -1 when there is none. */
export function commonKey(own: readonly Uint8Array[], theirs: readonly Uint8Array[]): number {
  return own.findIndex((id) => theirs.some((other) => isSame(id, other)));
}

/** Names of keys are no secret, so this may take as long as it takes. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
