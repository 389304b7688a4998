/**
 * What Yjs does with the updates of a document, where nothing of it is kept in memory.
 */
import { applyUpdate, Doc, decodeStateVector, encodeStateAsUpdate } from "yjs";

/** A document from its updates. What depends on missing ones is left out of it until they come. */
export function documentOf(parts: readonly Uint8Array[]): Doc {
  const doc = new Doc();
  applyAll(doc, parts, undefined);
  return doc;
}

/** Applies updates as one change. */
export function applyAll(doc: Doc, parts: readonly Uint8Array[], origin: unknown): void {
  doc.transact(() => {
    for (const part of parts) applyUpdate(doc, part, origin);
  }, origin);
}

/** What `theirs` holds beyond `own`, as one update; undefined when that is nothing. */
export function difference(
  own: readonly Uint8Array[],
  theirs: readonly Uint8Array[],
): Uint8Array | undefined {
  const doc = documentOf(own);
  let news: Uint8Array | undefined;
  doc.on("update", (update: Uint8Array) => {
    news = update;
  });
  applyAll(doc, theirs, undefined);
  doc.destroy();
  return news;
}

/** Whether whoever has this state has seen anything that the other has not, by their state vectors. */
export function isAhead(state: Uint8Array, other: Uint8Array): boolean {
  const there = decodeStateVector(other);
  return [...decodeStateVector(state)].some(([client, clock]) => clock > (there.get(client) ?? 0));
}

/** The same content as one update. */
export function merged(parts: readonly Uint8Array[]): Uint8Array {
  const doc = documentOf(parts);
  const update = encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}

/** All text in a document, whatever types it stands in: one line for each piece. */
export function textOf(doc: Doc): string {
  const pieces: string[] = [];
  // A type that nobody has asked for by its class yet is known by its items alone.
  for (const type of doc.share.values()) collect(type as unknown as Container, pieces, 0);
  return pieces.join("");
}

/** What Yjs keeps of a type: a list of items, and one for each key. */
interface Container {
  readonly _start: Piece | null;
  readonly _map: ReadonlyMap<string, Piece>;
}

interface Piece {
  readonly deleted: boolean;
  readonly right: Piece | null;
  readonly content: {
    readonly str?: string;
    readonly arr?: readonly unknown[];
    readonly type?: Container;
  };
}

/** Types within types that are looked into. */
const TYPE_DEPTH_MAX = 32;

function collect({ _start, _map }: Container, pieces: string[], depth: number): void {
  if (depth > TYPE_DEPTH_MAX) return;
  for (let piece = _start; piece !== null; piece = piece.right) take(piece, pieces, depth);
  for (const piece of _map.values()) take(piece, pieces, depth);
  pieces.push("\n");
}

function take({ deleted, content }: Piece, pieces: string[], depth: number): void {
  if (deleted) return;
  if (content.str !== undefined) pieces.push(content.str);
  else if (content.type !== undefined) collect(content.type, pieces, depth + 1);
  else
    for (const value of content.arr ?? []) if (typeof value === "string") pieces.push(value, "\n");
}
