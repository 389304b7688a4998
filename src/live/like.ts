/**
 * `like` and `ilike`: `%` stands for any text, `_` for one character, and a backslash takes the meaning
 * from what follows it.
 *
 * A pattern is a row of characters, and a state is how many of them have been read; `%` makes the state
 * before it one in which any character may be read. All states that the text so far may have led to are
 * the bits of a few words, and each character of the text moves them all at once. So a text of n
 * characters takes n steps of at most nine words, whatever the pattern: there is nothing to go back to.
 *
 * `ilike` compares in lower case. That is what `toLowerCase` makes of it, the same in every place.
 *
 * Source: Baeza-Yates and Gonnet, "A new approach to text searching", 1992. Rules: SPEC.md, section V.
 */
import { PATTERN_LENGTH_MAX } from "./bounds.ts";

const WORD_BITS = 32;
const ASCII = 128;

export type Matcher = (text: string) => boolean;

/** What a pattern says, or undefined when it is none: too long, or a backslash with nothing behind it. */
export function compileLike(pattern: string, ignoresCase: boolean): Matcher | undefined {
  if (pattern.length > PATTERN_LENGTH_MAX) return undefined;
  const parsed = parse(ignoresCase ? pattern.toLowerCase() : pattern);
  if (parsed === undefined) return undefined;
  const { characters, loops } = parsed;
  const matches =
    characters.length < WORD_BITS ? narrow(characters, loops) : wide(characters, loops);
  return ignoresCase ? (text) => matches(text.toLowerCase()) : matches;
}

interface Parsed {
  /** Code points; undefined stands for any. */
  readonly characters: readonly (number | undefined)[];
  /** The states in which any character may be read, without leaving them. */
  readonly loops: ReadonlySet<number>;
}

function parse(pattern: string): Parsed | undefined {
  const characters: (number | undefined)[] = [];
  const loops = new Set<number>();
  const points = [...pattern];
  for (let index = 0; index < points.length; index += 1) {
    const point = points[index] as string;
    if (point === "%") loops.add(characters.length);
    else if (point === "_") characters.push(undefined);
    else if (point !== "\\") characters.push(point.codePointAt(0));
    else {
      index += 1;
      const escaped = points[index];
      if (escaped === undefined) return undefined;
      characters.push(escaped.codePointAt(0));
    }
  }
  return { characters, loops };
}

/** Up to 31 characters: all states in one word. */
function narrow(characters: Parsed["characters"], loops: Parsed["loops"]): Matcher {
  const last = 1 << characters.length;
  let loopBits = 0;
  for (const state of loops) loopBits |= 1 << state;
  const any = bitsOf(characters, undefined);
  const ascii = new Int32Array(ASCII).fill(any);
  const others = new Map<number, number>();
  for (const character of new Set(characters)) {
    if (character === undefined) continue;
    const bits = bitsOf(characters, character) | any;
    if (character < ASCII) ascii[character] = bits;
    else others.set(character, bits);
  }
  return (text) => {
    let states = 1;
    for (let index = 0; index < text.length; index += 1) {
      let unit = text.charCodeAt(index);
      let bits: number;
      if (unit < ASCII) bits = ascii[unit] as number;
      else {
        unit = text.codePointAt(index) as number;
        if (unit > 0xffff) index += 1;
        bits = others.get(unit) ?? any;
      }
      states = ((states << 1) & bits) | (states & loopBits);
      if (states === 0) return false;
    }
    return (states & last) !== 0;
  };
}

/** The states that a character leads to. */
function bitsOf(characters: Parsed["characters"], wanted: number | undefined): number {
  let bits = 0;
  characters.forEach((character, index) => {
    if (character === wanted) bits |= 1 << (index + 1);
  });
  return bits;
}

/** More characters: the same in several words, from the lowest to the highest. */
function wide(characters: Parsed["characters"], loops: Parsed["loops"]): Matcher {
  const words = Math.ceil((characters.length + 1) / WORD_BITS);
  const setBit = (bits: Int32Array, state: number): void => {
    const word = state >>> 5;
    bits[word] = (bits[word] as number) | (1 << (state & 31));
  };
  const loopBits = new Int32Array(words);
  for (const state of loops) setBit(loopBits, state);
  const any = new Int32Array(words);
  characters.forEach((character, index) => {
    if (character === undefined) setBit(any, index + 1);
  });
  const masks = new Map<number, Int32Array>();
  characters.forEach((character, index) => {
    if (character === undefined) return;
    const bits = masks.get(character) ?? any.slice();
    masks.set(character, bits);
    setBit(bits, index + 1);
  });
  const last = characters.length;
  const states = new Int32Array(words);
  return (text) => {
    states.fill(0);
    states[0] = 1;
    for (let index = 0; index < text.length; index += 1) {
      const point = text.codePointAt(index) as number;
      if (point > 0xffff) index += 1;
      const bits = masks.get(point) ?? any;
      let carry = 0;
      let alive = 0;
      for (let word = 0; word < words; word += 1) {
        const before = states[word] as number;
        const shifted = (before << 1) | carry;
        carry = before >>> 31;
        const after = (shifted & (bits[word] as number)) | (before & (loopBits[word] as number));
        states[word] = after;
        alive |= after;
      }
      if (alive === 0) return false;
    }
    return ((states[last >>> 5] as number) & (1 << (last & 31))) !== 0;
  };
}
