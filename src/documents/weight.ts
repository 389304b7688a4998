/**
 * How much work an edit may be, without doing it.
 *
 * Yjs does what an update says with costs that strangers can choose: a range that is deleted within a long run cuts it,
 * which moves all structs after it; who sets a key that others have set walks past all of them. So an update of
 * n bytes can cost n times the structs of the document. Here these two are multiplied: what an update says
 * anew, structs and ranges, by the structs that there may be. What is typed weighs as much as its document; what
 * weighs too much is tried elsewhere before it is done (`shell/trials.ts`).
 *
 * What is known already weighs nothing: honest clients repeat all deletions of a document when they connect.
 *
 * Lengths that lie are found here, since an update is read once through before it is applied, and only after
 * that does Yjs allocate what it announces.
 */
import { type Doc, decodeUpdate, findIndexSS, type GC, type Item } from "yjs";
import { nestingOf } from "./nesting.ts";

/** How many structs there are more for each that is new, or deleted: each of its ends may cut another one. */
const CUTS = 3;

export interface Weight {
  /** The most work that an update may be, in structs that are touched. */
  readonly work: number;
  /** Different writers that the document has after it. */
  readonly writers: number;
  /** The depth of the deepest type within types that it brings. */
  readonly depth: number;
}

/** What an update may cost a document. Throws on bytes that are none. */
export function weightOf(doc: Doc, update: Uint8Array): Weight {
  const { structs, ds } = decodeUpdate(update);
  const { clients } = doc.store;
  let held = 0;
  for (const list of clients.values()) held += list.length;
  let news = 0;
  const writers = new Set<number>();
  for (const { id, length } of structs) {
    if (id.clock + length <= stateOf(clients.get(id.client))) continue;
    news += 1;
    if (!clients.has(id.client)) writers.add(id.client);
  }
  let ranges = 0;
  for (const [client, list] of ds.clients) {
    const own = clients.get(client);
    for (const { clock, len } of list) if (!isDeleted(own, clock, len)) ranges += 1;
  }
  return {
    work: (news + ranges) * (held + CUTS * (news + ranges)),
    writers: clients.size + writers.size,
    depth: nestingOf(doc, structs),
  };
}

type Structs = readonly (Item | GC)[];

/** The clock after the last struct. */
function stateOf(structs: Structs | undefined): number {
  const last = structs?.at(-1);
  return last === undefined ? 0 : last.id.clock + last.length;
}

/** Whether all of a range is gone already. */
function isDeleted(structs: Structs | undefined, clock: number, length: number): boolean {
  const end = clock + length;
  if (structs === undefined || end > stateOf(structs)) return false;
  for (let at = findIndexSS(structs as (Item | GC)[], clock); ; at += 1) {
    const struct = structs[at];
    if (struct === undefined || struct.id.clock >= end) return true;
    if (!struct.deleted) return false;
  }
}
