/**
 * What Yjs does with the updates of a document, where nothing of it is kept in memory.
 */
import { createEncoder, toUint8Array, writeVarUint } from "lib0/encoding";
import {
  applyUpdate,
  Doc,
  decodeStateVector,
  encodeStateAsUpdate,
  encodeStateVector,
  mergeUpdates,
} from "yjs";

/**
 * A document that is empty. Yjs would give it a name of its own, drawn digit by digit, which takes longer than all
 * the rest of making and reading a small one; nobody asks for it.
 */
export function emptyDocument(): Doc {
  return new Doc({ guid: "" });
}

/** A document from its updates. What depends on missing ones is left out of it until they come. */
export function documentOf(parts: readonly Uint8Array[]): Doc {
  const doc = emptyDocument();
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

/** Whether something was inserted in one state that is not in another; deletions do not show. */
export function isAhead(own: Uint8Array, theirs: Uint8Array): boolean {
  const there = decodeStateVector(theirs);
  for (const [client, clock] of decodeStateVector(own)) {
    if (clock > (there.get(client) ?? 0)) return true;
  }
  return false;
}

/** The highest client id in a state; 0 in none. Ids that are no sane ones do not count. */
export function highestClient(state: Uint8Array): number {
  let highest = 0;
  for (const client of decodeStateVector(state).keys()) {
    if (client > highest && client < CLIENT_ID_MAX) highest = client;
  }
  return highest;
}

/** Above this nobody draws a client id: by the ms, that is 200 years from now. */
const CLIENT_ID_MAX = 2 ** 53 - 2 ** 50;

/**
 * What makes a document of that state equal to this one, which has taken its place: beside what it lacks, that all
 * is deleted that is of writers of whom this one knows nothing.
 */
export function replacing(doc: Doc, state: Uint8Array): Uint8Array {
  const own = decodeStateVector(encodeStateVector(doc));
  const gone = [...decodeStateVector(state)].filter(([client]) => !own.has(client));
  const update = encodeStateAsUpdate(doc, state);
  if (gone.length === 0) return update;
  // An update without structs: of each client one range, which is everything.
  const encoder = createEncoder();
  for (const number of [0, gone.length]) writeVarUint(encoder, number);
  for (const [client, clock] of gone) {
    for (const number of [client, 1, 0, clock]) writeVarUint(encoder, number);
  }
  return mergeUpdates([update, toUint8Array(encoder)]);
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
