/**
 * Addresses `host:port` and `[v6]:port`: read, refused and written.
 */
import { ADDRESS_LENGTH_MAX } from "../core/limits.ts";
import type { Address } from "../core/units.ts";

/** The two halves of an address. `host` has no brackets. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

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

/** Splits what a user names a peer by: `host:port`, or the same behind `http://` or `https://`. */
export function splitUrl(text: string): { readonly scheme: string; readonly address: Address } {
  const [, scheme = "", address = ""] = /^(https?:\/\/)?(.*?)\/?$/.exec(text) ?? [];
  return { scheme, address };
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
