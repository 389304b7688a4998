/**
 * What Yjs does with the updates of a document, where nothing of it is kept in memory.
 */
import { applyUpdate, Doc, encodeStateAsUpdate } from "yjs";

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

/** The same content as one update. */
export function merged(parts: readonly Uint8Array[]): Uint8Array {
  const doc = documentOf(parts);
  const update = encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}
