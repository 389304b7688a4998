/**
 * Which pages may command a peer from a browser.
 *
 * A page of any origin may send requests from a browser on this machine, and open WebSockets, without
 * asking anybody. A browser says where the page comes from, in a header that scripts cannot set; programs
 * send none. So whoever says where it comes from must come from here, or from where the user allows.
 */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

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
  if (!URL.canParse(origin)) return false;
  // A name that somebody else serves can be made to lead here: only addresses are taken at their word.
  const own = new URL(origin);
  const isAddress = isIP(own.hostname.replace(/^\[|\]$/g, "")) > 0 || own.hostname === "localhost";
  return own.host === host && isAddress;
}
