/**
 * Which peers there are, and which of them to try next.
 */

/** A peer, as the members' rows have it. */
export interface PeerRow {
  readonly name: string;
  /** Where it is dialled, `host:port`. */
  readonly address: string;
  readonly status: string;
}

/** Whether a peer may be expected to answer. */
export const isThere = ({ status }: PeerRow): boolean => status === "alive";

/**
 * The peer to try: the wished one, if it is there and was not tried; else the next one there, by name, after it in
 * a circle, of those that nobody else on the page uses if there is such a one. Undefined when all were tried.
 */
export function nextPeer(
  peers: readonly PeerRow[],
  wished: string,
  tried: ReadonlySet<string>,
  used: ReadonlySet<string>,
): PeerRow | undefined {
  const sorted = [...peers].sort((a, b) => (a.name < b.name ? -1 : 1));
  const start = Math.max(
    0,
    sorted.findIndex(({ name }) => name >= wished),
  );
  const circle = [...sorted.slice(start), ...sorted.slice(0, start)];
  const left = circle.filter((peer) => isThere(peer) && !tried.has(peer.name));
  const [first] = left;
  if (first?.name === wished) return first;
  return left.find(({ name }) => !used.has(name)) ?? first;
}
