/**
 * Arcs: how one change reaches every member of a large cluster with one message each [G1].
 *
 * Theory of operation
 *
 * Beyond a full mesh a writer cannot tell everybody itself. The members stand in a ring by the hashes
 * of their names (`overlay.ts`), and every delta names the arc of it that its receiver is to see to. The
 * writer sees to the whole ring but itself. Whoever sees to an arc cuts it in two where it stands,
 * and divides each part among its links that lead into it: each gets the piece around it, up to half
 * way to the next. Pieces do not overlap, and no piece holds who cut it: so n - 1 messages suffice,
 * and arcs that a stranger makes up come to an end, too. Since fingers double, a piece has a quarter
 * of the arc that it was cut from: 1000 members are reached in five or six hops.
 *
 * Arcs are of hashes and not of places, since two peers may count members differently for a moment,
 * but agree on everybody's hash. A piece around a member includes those on both sides of it, so a
 * member that one peer cannot link with is reached by its other neighbours.
 *
 * What a crash on the way costs is found by anti-entropy [G3], and pushed as if it were new.
 *
 * Deliberately absent: acknowledgements, and lazy links that repair what is lost on the way, as
 * Plumtree has them: ARCHITECTURE.md says why.
 *
 * Source: the broadcast of El-Ansary et al., "Efficient Broadcast in Structured P2P Networks", IPTPS
 * 2003, with both kinds of neighbours in place of fingers only.
 */

/** Hashes from `from` on, upwards and around, until before `until`. The two differ: none is empty. */
export interface Arc {
  readonly from: number;
  readonly until: number;
}

/** One part of an arc, and who is to see to it; without an arc there is nobody left. */
export interface Piece<T> {
  readonly link: T;
  readonly arc?: Arc;
}

/** The whole ring but the one who stands at `hash`. */
export function ringAround(hash: number): Arc {
  return { from: (hash + 1) >>> 0, until: hash };
}

/** Divides `arc` among those of `links` that stand in it; `self` is the hash of who divides. */
export function divide<T extends { readonly hash: number }>(
  arc: Arc,
  self: number,
  links: readonly T[],
): Piece<T>[] {
  const length = span(arc.from, arc.until);
  const cut = span(arc.from, self);
  if (cut >= length) return share(arc, links);
  // Who has the very same hash, once in a million clusters, is not to be left out.
  const hasTwin = links.some(({ hash }) => hash === self);
  const right = { from: hasTwin ? self : (self + 1) >>> 0, until: arc.until };
  return [...share(right, links), ...share({ from: arc.from, until: self }, links)];
}

/** Divides an arc among those who stand in it, half way between one and the next. */
function share<T extends { readonly hash: number }>(arc: Arc, links: readonly T[]): Piece<T>[] {
  const length = span(arc.from, arc.until);
  const inside = links
    .map((link) => ({ link, at: span(arc.from, link.hash) }))
    .filter(({ at }) => at < length)
    .sort((a, b) => a.at - b.at);
  let from = 0;
  return inside.map(({ link, at }, index) => {
    const next = inside[index + 1]?.at;
    const until = next === undefined ? length : Math.floor((at + next) / 2) + 1;
    const isEmpty = from === until;
    const piece = { from: moved(arc.from, from), until: moved(arc.from, until) };
    from = until;
    return isEmpty ? { link } : { link, arc: piece };
  });
}

/** How far it is from one hash up to another, around the ring. */
function span(from: number, to: number): number {
  return (to - from) >>> 0;
}

function moved(hash: number, by: number): number {
  return (hash + by) >>> 0;
}
