/**
 * Updates of Yjs that no Yjs would write, for tests: byte by byte, as version 1 has them.
 */
import {
  createEncoder,
  type Encoder,
  toUint8Array,
  writeUint8,
  writeVarString,
  writeVarUint,
} from "lib0/encoding";

export type Struct = (encoder: Encoder) => void;

export interface Written {
  readonly client: number;
  readonly clock?: number;
  /** How many structs are announced; as many as there are, unless it says otherwise. */
  readonly count?: number;
  readonly structs: readonly Struct[];
}

export type Range = readonly [clock: number, length: number];

const STRING = 4;
const TYPE = 7;
const ANY = 8;
const HAS_LEFT = 0x80;
const HAS_KEY = 0x20;

export function crafted(
  written: readonly Written[],
  deleted: readonly { readonly client: number; readonly ranges: readonly Range[] }[] = [],
): Uint8Array {
  const encoder = createEncoder();
  writeVarUint(encoder, written.length);
  for (const { client, clock = 0, structs, count = structs.length } of written) {
    for (const number of [count, client, clock]) writeVarUint(encoder, number);
    for (const write of structs) write(encoder);
  }
  writeVarUint(encoder, deleted.length);
  for (const { client, ranges } of deleted) {
    writeVarUint(encoder, client);
    writeVarUint(encoder, ranges.length);
    for (const range of ranges) for (const number of range) writeVarUint(encoder, number);
  }
  return toUint8Array(encoder);
}

/** Text at the beginning of the type "text". */
export const text =
  (content: string): Struct =>
  (encoder) => {
    writeUint8(encoder, STRING);
    writeVarUint(encoder, 1);
    writeVarString(encoder, "text");
    writeVarString(encoder, content);
  };

/** A value under a key, by somebody who knows of no other. */
export const underKey =
  (key: string): Struct =>
  (encoder) => {
    writeUint8(encoder, ANY | HAS_KEY);
    writeVarUint(encoder, 1);
    writeVarString(encoder, "map");
    writeVarString(encoder, key);
    writeVarUint(encoder, 1);
    writeUint8(encoder, 126); // null
  };

/** A value of lists in lists in lists. */
export const nested =
  (depth: number): Struct =>
  (encoder) => {
    writeUint8(encoder, ANY);
    writeVarUint(encoder, 1);
    writeVarString(encoder, "text");
    writeVarUint(encoder, 1);
    for (let level = 0; level < depth; level += 1) {
      writeUint8(encoder, 117);
      writeVarUint(encoder, 1);
    }
    writeUint8(encoder, 126);
  };

/** An empty list in the struct before it, by the same client; the first one in the type "text". */
export const within =
  (client: number, clock: number): Struct =>
  (encoder) => {
    writeUint8(encoder, TYPE);
    writeVarUint(encoder, clock < 0 ? 1 : 0);
    if (clock < 0) writeVarString(encoder, "text");
    else for (const number of [client, clock]) writeVarUint(encoder, number);
    writeVarUint(encoder, 0);
  };

/** An empty list to the right of a struct, in whatever that lies. */
export const beside =
  (client: number, clock: number): Struct =>
  (encoder) => {
    writeUint8(encoder, TYPE | HAS_LEFT);
    for (const number of [client, clock, 0]) writeVarUint(encoder, number);
  };
