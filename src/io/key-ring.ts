/**
 * The secrets of a peer, for proving and for judging proofs: HMAC-SHA256 over what `wire/proof.ts` says.
 *
 * Secrets are text that people choose, so they must be long. They are asked for anew for each handshake,
 * so that one that was replaced in a file counts for the next link; links that stand are left alone.
 *
 * A key's name is a keyed hash as well, so it tells nothing about the key that a proof does not.
 *
 * Rules: SPEC.md, S1.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { isWellFormed } from "../core/canonical.ts";
import { KEY_ID_BYTES, KEYS_MAX, type KeyRing, NO_KEYS } from "../wire/proof.ts";

/** One secret, or several: proves with the first that the other end has too, accepts all. */
export type Secrets = string | readonly string[];

/** Fewest characters of a secret: 96 bits, if they are random. */
const SECRET_LENGTH_MIN = 16;

/** Most characters of a secret: far above what any generator makes. */
const SECRET_LENGTH_MAX = 1024;

const NAME_OF = "hearsay key name";

/** Says what is wrong with secrets, for "the secret ..."; undefined when nothing is. */
export function problemOfSecrets(secrets: unknown): string | undefined {
  const list: readonly unknown[] = Array.isArray(secrets) ? secrets : [secrets];
  if (list.length === 0 || list.length > KEYS_MAX) return `is not 1 to ${KEYS_MAX} texts`;
  const isGood = list.every(
    (secret) =>
      typeof secret === "string" &&
      secret.length >= SECRET_LENGTH_MIN &&
      secret.length <= SECRET_LENGTH_MAX &&
      isWellFormed(secret),
  );
  return isGood
    ? undefined
    : `is not text of ${SECRET_LENGTH_MIN} to ${SECRET_LENGTH_MAX} characters`;
}

/** The ring of these secrets, which `problemOfSecrets` has passed; of none, that of no secret. */
export function keyRing(secrets: Secrets | undefined): KeyRing {
  if (secrets === undefined) return NO_KEYS;
  const keys = [...new Set(typeof secrets === "string" ? [secrets] : secrets)];
  return {
    ids: keys.map((key) => hmac(key, Buffer.from(NAME_OF)).subarray(0, KEY_ID_BYTES)),
    prove: (place, bytes) => hmac(keys[place] ?? "", bytes),
    accepts(proof, bytes) {
      let isAccepted = false;
      for (const key of keys) {
        const expected = hmac(key, bytes);
        // Of all keys, whichever it was: [S1] nobody learns by time how far they got.
        if (proof.length === expected.length && timingSafeEqual(proof, expected)) isAccepted = true;
      }
      return isAccepted;
    },
  };
}

/** Secrets that may change while a peer runs. */
export class LiveKeys {
  readonly #ask: (() => Secrets) | undefined;
  readonly #onProblem: (message: string) => void;
  #ring: KeyRing;
  #isStale = false;

  /** `ask` has been checked, and may throw later: `onProblem` is told of it once. */
  constructor(ask: (() => Secrets) | undefined, onProblem: (message: string) => void) {
    this.#ask = ask;
    this.#onProblem = onProblem;
    this.#ring = keyRing(ask?.());
  }

  /** The ring of the secrets as they are now; while they cannot be had, of those before. */
  current(): KeyRing {
    try {
      this.#ring = keyRing(this.#ask?.());
      this.#isStale = false;
    } catch (error) {
      const message = error instanceof Error ? error.message : "Cannot read the secret";
      if (!this.#isStale) this.#onProblem(message); // Once, and not for each link.
      this.#isStale = true;
    }
    return this.#ring;
  }
}

function hmac(key: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(bytes).digest());
}
