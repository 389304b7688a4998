/**
 * The one msgpack encoder and decoder of the wire, set to the narrow language of `byte-check.ts`.
 *
 * Rules: SPEC.md, S5.
 */
import { Packr } from "msgpackr";
import { type ByteLimits, checkBytes } from "./byte-check.ts";

const packr = new Packr({
  useRecords: false, // Plain arrays; a record is an extension.
  int64AsType: "number", // `byte-check.ts` lets through what a number holds.
  copyBuffers: true, // Bytes that are kept must not keep their frame.
});

/** Encodes arrays of null, booleans, finite numbers, well-formed text and bytes. */
export function pack(elements: readonly unknown[]): Uint8Array {
  const { buffer, byteOffset, byteLength } = packr.pack(elements);
  // A plain view: `slice` of a Buffer would share memory where that of a Uint8Array copies.
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Decodes what `pack` may have written, or says why not in words for "a frame that ...". */
export function unpack(
  bytes: Uint8Array,
  limits: ByteLimits,
): { readonly elements: readonly unknown[] } | { readonly reason: string } {
  const reason = checkBytes(bytes, limits); // [S5] Before anything is built from them.
  if (reason !== undefined) return { reason };
  // A view of our own: msgpackr leaves a property on what it reads, and Buffers in what it makes of one.
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elements: unknown = packr.unpack(view);
  return Array.isArray(elements) ? { elements } : { reason: "is not an array" };
}
