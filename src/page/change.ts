/**
 * What turned one text into another, as one replacement: what somebody has typed, pasted or cut.
 */

export interface Change {
  /** Where it begins, in UTF-16 code units. */
  readonly at: number;
  readonly removed: number;
  readonly inserted: string;
}

/**
 * The shortest replacement that turns `before` into `after`, or undefined. Of several that are equally short
 * (an "a" typed into "aaa") the one that ends at `caret`, where who typed is now. No character is cut in two.
 */
export function changeBetween(before: string, after: string, caret: number): Change | undefined {
  if (before === after) return undefined;
  const shorter = Math.min(before.length, after.length);
  let tail = 0;
  const tailMax = Math.min(shorter, Math.max(0, after.length - caret));
  while (tail < tailMax && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  let head = 0;
  while (head < shorter - tail && before[head] === after[head]) head += 1;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  if (isHigh(before, head - 1) || isHigh(after, head - 1)) head -= 1;
  if (isLow(before, before.length - tail) || isLow(after, after.length - tail)) tail -= 1;
  return {
    at: head,
    removed: before.length - tail - head,
    inserted: after.slice(head, after.length - tail),
  };
}

const isHigh = (text: string, at: number): boolean => /[\uD800-\uDBFF]/.test(text[at] ?? "");
const isLow = (text: string, at: number): boolean => /[\uDC00-\uDFFF]/.test(text[at] ?? "");
