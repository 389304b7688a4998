/**
 * The allocation table as a Yjs document, in the three layouts that one would think of.
 *
 * Each stores what an allocation is: the region, and the time that its fencing token is made of.
 *
 * - `Y.Map by key`: of concurrent writes the one of the highest client id wins, whatever the time.
 * - `Y.Map of slots`: every writer has a slot of its own for each key, so that no write is lost and
 *   a reader can take the newest of up to eight.
 * - `YKeyValue` of y-utility: a Y.Array of pairs, which keeps no history of overwritten keys. A write
 *   walks over the array, so it is given fewer of them, which is to its advantage.
 *
 * Eight writers share one document and take turns with its client id. That is the state which eight
 * documents have after every write has reached all of them, and takes an eighth of the time to make.
 */
import { YKeyValue } from "y-utility/y-keyvalue";
import * as Y from "yjs";
import { REGIONS, type Write } from "./allocations.ts";

type Slot = readonly [region: string, time: number];
type Pair = { key: string; val: Slot };
type Put = (key: string, write: Write) => void;
type LookUp = (key: string) => string | undefined;

export interface YjsLayout {
  readonly name: string;
  /** Whether a write costs more the more keys there are. */
  readonly isSlow: boolean;
  /** How to write to a document. */
  readonly put: (doc: Y.Doc) => Put;
  /** Makes a document readable, and says how to look up the region of a key. */
  readonly lookUp: (doc: Y.Doc) => LookUp;
}

export const YJS_LAYOUTS: readonly YjsLayout[] = [
  {
    name: "Y.Map by key",
    isSlow: false,
    put: (doc) => {
      const map = mapOf(doc);
      return (key, write) => void map.set(key, slotOf(write));
    },
    lookUp: (doc) => {
      const map = mapOf(doc);
      return (key) => map.get(key)?.[0];
    },
  },
  {
    name: "Y.Map of slots",
    isSlow: false,
    put: (doc) => {
      const map = mapOf(doc);
      return (key, write) => void map.set(`${key}/${write.writer}`, slotOf(write));
    },
    lookUp: (doc) => {
      const map = mapOf(doc);
      return (key) => {
        const slots = REGIONS.map((_, writer) => map.get(`${key}/${writer}`));
        return slots.reduce((a, b) => (b && (!a || b[1] > a[1]) ? b : a))?.[0];
      };
    },
  },
  {
    name: "YKeyValue",
    isSlow: true,
    put: (doc) => {
      const table = tableOf(doc);
      return (key, write) => table.set(key, slotOf(write));
    },
    lookUp: (doc) => {
      const table = tableOf(doc);
      return (key) => table.get(key)?.[0];
    },
  },
];

/** A document in which `history` has happened. */
export function writeYjs(
  layout: YjsLayout,
  history: readonly Write[],
  keyOf: (index: number) => string,
): Y.Doc {
  const doc = new Y.Doc();
  const put = layout.put(doc);
  for (const write of history) {
    doc.clientID = write.writer + 1;
    doc.transact(() => put(keyOf(write.key), write));
  }
  return doc;
}

/** A document loaded from an update, and how to look up in it. `key` must be there. */
export function readYjs(update: Uint8Array, layout: YjsLayout["lookUp"], key: string): object {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, update);
  const lookUp = layout(doc);
  if (lookUp(key) === undefined) throw new Error("The document was not loaded");
  return { doc, lookUp };
}

function mapOf(doc: Y.Doc): Y.Map<Slot> {
  return doc.getMap<Slot>("allocations");
}

function tableOf(doc: Y.Doc): YKeyValue<Slot> {
  return new YKeyValue<Slot>(doc.getArray<Pair>("allocations"));
}

function slotOf({ region, time }: Write): Slot {
  return [REGIONS[region] as string, time];
}
