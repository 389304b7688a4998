/**
 * Where to find the first peers: addresses and names written down, or a function that looks them up.
 *
 * Addresses never change. Names and functions (a cloud's API, a file) are asked again and again, since
 * the answer of this morning names machines that are gone by night. What fails is asked again sooner, with
 * growing waits, since a cluster that starts often comes before its names; and it keeps the addresses
 * that it had before. Dialling them is not done here: the state machine is told, and decides.
 *
 * Rules: SPEC.md, G8.
 */
import { HearsayError } from "../core/error.ts";
import { JOIN_ADDRESSES_MAX } from "../core/limits.ts";
import type { Address } from "../core/units.ts";
import type { Clock } from "./clock.ts";
import { type NameResolver, parseJoin, resolveJoin } from "./names.ts";

/** Addresses and names as `parseJoin` reads them, or a function that finds such. */
export type Join = readonly string[] | (() => Promise<readonly string[]> | readonly string[]);

/** How long after an answer names and functions are asked again, in ms. DNS records often live as long. */
const RESOLVE_INTERVAL_MS = 10_000;

/** The first wait after a failure, in ms; doubled by each further one, up to the interval. */
const RETRY_MS = 500;

export interface DiscoveryOptions {
  readonly join: Join;
  readonly clock: Clock;
  readonly resolver: NameResolver;
  /** Time between an answer and the next question, in ms. Default 10 000. */
  readonly intervalMs?: number;
  /** In [0, 1): waits are shortened by up to a quarter, so that peers do not ask in step. */
  readonly random: () => number;
  /** Told the addresses when they are known, and whenever they have changed. */
  readonly onFound: (addresses: readonly Address[]) => void;
  /** Told why there was no answer, or which part of it was no address. Once in a row for one reason. */
  readonly onError: (error: HearsayError | TypeError) => void;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  /** What each thing to join by was found to stand for. */
  readonly #answers = new Map<string, readonly Address[]>();
  /** What was said of each thing that failed, until it succeeds. */
  readonly #said = new Map<string, string>();
  #found: readonly Address[] | undefined;
  #failures = 0;
  #isClosed = false;
  #cancelAlarm: () => void = () => {};

  /** Throws a `TypeError` for a list with something in it that is nothing to join by. */
  constructor(options: DiscoveryOptions) {
    this.#options = options;
    if (typeof options.join === "function") return;
    if (options.join.length > JOIN_ADDRESSES_MAX) {
      throw new RangeError(`Cannot join by more than ${JOIN_ADDRESSES_MAX} addresses`);
    }
    for (const text of options.join) parseJoin(text);
  }

  /** Finds the addresses, and goes on finding them where they may change. Resolves after the first try. */
  async start(): Promise<void> {
    await this.#find();
  }

  /** Finds nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#cancelAlarm();
  }

  async #find(): Promise<void> {
    const { join } = this.#options;
    const texts = typeof join === "function" ? await this.#ask(join) : join;
    const list = [...new Set(texts ?? this.#answers.keys())].slice(0, JOIN_ADDRESSES_MAX); // [S4]
    const outcomes = await Promise.all(list.map((text) => this.#resolve(text)));
    if (this.#isClosed) return;
    // What is not named any more is forgotten; what failed keeps its last answer.
    for (const text of this.#answers.keys()) if (!list.includes(text)) this.#answers.delete(text);
    if (texts !== undefined || this.#found !== undefined) this.#tell();
    const isFixed = typeof join !== "function" && join.every((text) => !isName(text));
    if (!isFixed) this.#again(texts !== undefined && outcomes.every((isGood) => isGood));
  }

  #again(isGood: boolean): void {
    const { clock, intervalMs = RESOLVE_INTERVAL_MS, random } = this.#options;
    this.#failures = isGood ? 0 : this.#failures + 1;
    const retryMs = RETRY_MS * 2 ** Math.min(this.#failures - 1, 16);
    const waitMs = isGood ? intervalMs : Math.min(intervalMs, retryMs);
    const at = clock.now() + waitMs * (1 - random() / 4);
    this.#cancelAlarm = clock.alarm(at, () => void this.#find());
  }

  async #ask(
    find: () => Promise<readonly string[]> | readonly string[],
  ): Promise<readonly string[] | undefined> {
    try {
      const texts = [...(await find())];
      this.#said.delete("");
      return texts;
    } catch (error) {
      const message = "Cannot find addresses to join: the join function failed";
      this.#say("", new HearsayError("UNREACHABLE", message, { cause: error }));
      return undefined;
    }
  }

  /** One bad part of an answer costs none of the good ones. */
  async #resolve(text: string): Promise<boolean> {
    try {
      const by = parseJoin(text);
      const addresses = await resolveJoin(by, this.#options.resolver);
      if (addresses.length === 0) throw new Error("it has no address");
      this.#answers.set(text, addresses);
      this.#said.delete(text);
      return true;
    } catch (error) {
      if (error instanceof TypeError) this.#say(text, error);
      else {
        const because = error instanceof Error ? error.message : String(error);
        const message = `Cannot find an address of ${JSON.stringify(text)} yet: ${because}`;
        this.#say(text, new HearsayError("UNREACHABLE", message, { cause: error }));
      }
      return false;
    }
  }

  #say(what: string, error: HearsayError | TypeError): void {
    if (this.#isClosed || this.#said.get(what) === error.message) return;
    this.#said.set(what, error.message);
    this.#options.onError(error);
  }

  #tell(): void {
    const all = [...new Set([...this.#answers.values()].flat())].sort();
    const addresses = all.slice(0, JOIN_ADDRESSES_MAX); // [S4]
    if (this.#found !== undefined && addresses.join() === this.#found.join()) return;
    this.#found = addresses;
    this.#options.onFound(addresses);
  }
}

/** Whether something to join by may stand for other addresses tomorrow. */
export function isName(text: string): boolean {
  return parseJoin(text).type !== "address";
}
