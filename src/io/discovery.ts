/**
 * Where to find the first peers: addresses written down, or a function that looks them up.
 *
 * A list never changes. A function (DNS, a cloud's API, a file) is asked again and again, since the
 * answer of this morning names machines that are gone by night; a failure keeps the addresses that
 * were found before. Dialling them is not done here: the state machine is told, and decides.
 */
import { HearsayError } from "../core/error.ts";
import { ADDRESS_LENGTH_MAX, JOIN_ADDRESSES_MAX } from "../core/limits.ts";
import type { Address } from "../core/units.ts";
import type { Clock } from "./clock.ts";

/** The two halves of an address. `host` has no brackets. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** Addresses `host:port`, or a function that finds them. */
export type Join = readonly string[] | (() => Promise<readonly string[]> | readonly string[]);

/** A name or an IPv4 address; or an IPv6 address in brackets. Nothing else can stand in a URL. */
const ADDRESS = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/;

/** Splits `host:port` or `[v6]:port`; undefined when it is neither. For addresses of strangers. */
export function splitAddress(text: string): HostAndPort | undefined {
  if (text.length > ADDRESS_LENGTH_MAX) return undefined;
  const [, v6, name, digits] = ADDRESS.exec(text) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535) return undefined;
  return { host, port };
}

/**
 * Splits an address that a user wrote. Throws a `TypeError` that says what is wrong with it.
 * Port 0 is an address to listen on, and none to dial.
 */
export function parseAddress(text: string, use: "dial" | "listen" = "dial"): HostAndPort {
  const quoted = JSON.stringify(text);
  if (typeof text !== "string") throw new TypeError(`Address ${quoted} is not a string`);
  if (!text.includes(":")) throw new TypeError(`Address ${quoted} has no port: write host:port`);
  const parts = splitAddress(text);
  if (parts === undefined) {
    throw new TypeError(`Address ${quoted} is not host:port with a port from 0 to 65535`);
  }
  if (use === "dial" && parts.port === 0) {
    throw new TypeError(`Address ${quoted} has port 0, which cannot be dialled`);
  }
  return parts;
}

/** Writes an address as peers tell it to each other: IPv6 in brackets. */
export function formatAddress({ host, port }: HostAndPort): Address {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** How long after an answer a join function is asked again, in ms. DNS records often live as long. */
const RESOLVE_INTERVAL_MS = 10_000;

export interface DiscoveryOptions {
  readonly join: Join;
  readonly clock: Clock;
  /** Time between an answer of the function and the next question, in ms. Default 10 000. */
  readonly intervalMs?: number;
  /** Told the addresses when they are known, and whenever they have changed. */
  readonly onFound: (addresses: readonly Address[]) => void;
  /** Told why the function had no answer, or which part of it was no address. */
  readonly onError: (error: unknown) => void;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  #found: readonly Address[] | undefined;
  #isClosed = false;
  #cancelAlarm: () => void = () => {};

  /** Throws a `TypeError` for a list with something in it that is no address. */
  constructor(options: DiscoveryOptions) {
    this.#options = options;
    if (typeof options.join === "function") return;
    if (options.join.length > JOIN_ADDRESSES_MAX) {
      throw new RangeError(`Cannot join by more than ${JOIN_ADDRESSES_MAX} addresses`);
    }
    for (const text of options.join) parseAddress(text);
  }

  /** Finds the addresses, once for a list and from now on for a function. Resolves after the first try. */
  async start(): Promise<void> {
    const { join } = this.#options;
    if (typeof join === "function") await this.#resolve(join);
    else this.#tell(join);
  }

  /** Finds nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#cancelAlarm();
  }

  async #resolve(find: () => Promise<readonly string[]> | readonly string[]): Promise<void> {
    const { clock, intervalMs = RESOLVE_INTERVAL_MS, onError } = this.#options;
    try {
      const answer = await find();
      if (this.#isClosed) return;
      this.#tell(answer.filter((text) => this.#isAddress(text)));
    } catch (error) {
      if (this.#isClosed) return;
      const message = "Cannot find addresses to join: the join function failed";
      onError(new HearsayError("UNREACHABLE", message, { cause: error }));
    }
    this.#cancelAlarm = clock.alarm(clock.now() + intervalMs, () => void this.#resolve(find));
  }

  /** One bad address of a function's answer costs none of the good ones. */
  #isAddress(text: string): boolean {
    try {
      parseAddress(text);
      return true;
    } catch (error) {
      this.#options.onError(error);
      return false;
    }
  }

  #tell(found: readonly string[]): void {
    const addresses = [...new Set(found)].sort().slice(0, JOIN_ADDRESSES_MAX); // [S4]
    if (this.#found !== undefined && addresses.join() === this.#found.join()) return;
    this.#found = addresses;
    this.#options.onFound(addresses);
  }
}
