/**
 * Text and values out of a frame, made fit to be kept: free of the frame, and one copy for many.
 *
 * Theory of operation
 *
 * Text of 13 characters and more that msgpackr decodes may be a slice of a longer text, and then keeps
 * all of that alive: one key, kept for a year, would keep its frame. So text that is kept is copied.
 *
 * A table of 100 000 allocations holds a handful of writers and a handful of values. They are looked
 * up in caches with one slot for each hash: whoever comes later takes the slot. That bounds the memory
 * without any order to maintain, and a stranger who floods a cache only undoes the sharing. Shared
 * values are frozen.
 *
 * What is shared cannot be observed but by identity, so the caches are one for the whole process.
 *
 * Rules: SPEC.md, M6, M7 and S4.
 */
import { canonicalBytes } from "../core/canonical.ts";
import { hash32 } from "../core/hash.ts";
import type { Value } from "../core/message.ts";

/** Slots of each cache: with the 100 distinct values of a large cluster, few share one. */
const SLOTS = 4096;

/** Lists with more elements are seldom equal and are not shared. */
const SHARED_ELEMENTS_MAX = 8;

/** Nor are those whose canonical encoding is longer, in bytes. */
const SHARED_BYTES_MAX = 128;

/** Shorter texts are always copied by V8: `SlicedString::kMinLength`. */
const SLICE_LENGTH_MIN = 13;

const texts: (string | undefined)[] = new Array(SLOTS).fill(undefined);
const lists: (readonly Value[] | undefined)[] = new Array(SLOTS).fill(undefined);

/**
 * Returns a copy of `text` that keeps nothing else alive.
 *
 * Of the ways to have V8 copy a text this one was the fastest (0.1 us) that leaves nothing but the
 * copy; a concatenation takes a third of the time and twice the memory for ever.
 */
export function ownText(text: string): string {
  return text.length < SLICE_LENGTH_MIN ? text : (JSON.parse(JSON.stringify(text)) as string);
}

/** Returns the one copy of a text that comes again and again, such as a writer. */
export function sharedText(text: string): string {
  const slot = hash32(text) % SLOTS;
  const known = texts[slot];
  if (known === text) return known;
  const own = ownText(text);
  texts[slot] = own;
  return own;
}

/**
 * Returns `value` as an entry may keep it, the same object for equal small lists; undefined when it
 * is none that an entry may hold [M7]. `value` must not be changed afterwards.
 */
export function ownValue(value: unknown): Value | undefined {
  const isSmall = Array.isArray(value) && value.length <= SHARED_ELEMENTS_MAX;
  const slot = isSmall ? slotOf(value) : 0;
  const known = isSmall ? lists[slot] : undefined;
  // What equals a value that an entry may hold is one: no need to look closer.
  if (known !== undefined && isSameList(known, value as unknown[])) return known;
  const bytes = canonicalBytes(value);
  if (bytes === undefined) return undefined;
  const own = copyOf(value as Value);
  if (isSmall && bytes.length <= SHARED_BYTES_MAX) lists[slot] = own as readonly Value[];
  return own;
}

/** Copies what is text in a value and freezes its arrays. Byte strings are the caller's to give. */
export function copyOf(value: Value): Value {
  if (typeof value === "string") return ownText(value);
  if (!Array.isArray(value)) return value;
  return Object.freeze((value as readonly Value[]).map(copyOf));
}

/** The lists of one map mostly differ in how they begin: with a region, or a name. */
function slotOf(list: readonly unknown[]): number {
  const first = list[0];
  return typeof first === "string" ? hash32(first) % SLOTS : 0;
}

/** Whether two lists hold the same. Never so with lists or bytes within: these are not looked into. */
function isSameList(a: readonly Value[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index += 1) if (a[index] !== b[index]) return false;
  return true;
}
