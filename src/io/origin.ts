/**
 * Which pages may command a peer from a browser.
 *
 * A page of any origin may send requests from a browser on this machine, and open WebSockets, without
 * asking anybody. A browser says where the page comes from, in a header that scripts cannot set; programs
 * send none. So whoever says where it comes from must come from here, or from where the user allows.
 */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import type { Address } from "../core/units.ts";

/**
 * The origins of pages that may open a session: `same-host`, pages of this very peer; or a list such as
 * `["https://console.example.com"]`.
 */
export type Origins = "same-host" | readonly string[];

/** Whether a request comes from no page, or from one that is allowed. */
export function isAllowedOrigin(
  { origin, host }: IncomingHttpHeaders,
  origins: Origins = "same-host",
): boolean {
  if (origin === undefined) return true;
  if (origins !== "same-host") return origins.includes(origin);
  return addressedAt(origin)?.host === host;
}

/** Whether a request comes from a page that was served at one of these addresses, by `scheme`. */
export function isPageOf(
  { origin }: IncomingHttpHeaders,
  scheme: "http:" | "https:",
  peers: readonly Address[],
): boolean {
  const page = origin === undefined ? undefined : addressedAt(origin);
  if (page?.protocol !== scheme) return false;
  const hosts = page.hostname === "localhost" ? ["127.0.0.1", "[::1]"] : [page.hostname];
  const origins = new Set(hosts.map((host) => originOf(`${scheme}//${host}:${page.port || ""}`)));
  return peers.some((address) => origins.has(originOf(`${scheme}//${address}`)));
}

/**
 * A page's origin, if it names an address. A name that somebody else serves can be made to lead here: only
 * addresses are taken at their word.
 */
function addressedAt(origin: string): URL | undefined {
  if (!URL.canParse(origin)) return undefined;
  const page = new URL(origin);
  const isAddress =
    isIP(page.hostname.replace(/^\[|\]$/g, "")) > 0 || page.hostname === "localhost";
  return isAddress ? page : undefined;
}

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : "");
