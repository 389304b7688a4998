import fc from "fast-check";
import { expect, test } from "vitest";
import { hash32 } from "../../src/core/hash.ts";
import { TermTable } from "../../src/core/term-table.ts";

const term = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "é", "\u{1f600}", "x".repeat(256)),
  fc.nat(400).map((number) => `term ${number}`),
);

/** Adds up like the table: what would take more out than is in takes out what is in. */
function addTo(table: TermTable, model: Map<string, number>, text: string, amount: number): void {
  const before = model.get(text) ?? 0;
  const change = Math.max(amount, -before);
  if (change === 0) return;
  table.add(text, hash32(text), change);
  if (before + change === 0) model.delete(text);
  else model.set(text, before + change);
}

test("[D2] sums are those of a map, through growth and after all is taken out", () => {
  const steps = fc.array(fc.tuple(term, fc.integer({ min: -3, max: 3 })), { maxLength: 2000 });
  fc.assert(
    fc.property(steps, fc.integer(), (all, key) => {
      const table = new TermTable(key);
      const model = new Map<string, number>();
      for (const [text, amount] of all) addTo(table, model, text, amount);
      for (const [text] of all) {
        expect(table.sumOf(text, hash32(text))).toBe(model.get(text) ?? 0);
      }
      expect(table.size).toBe(model.size);
      for (const [text, sum] of [...model]) addTo(table, model, text, -sum);
      expect(table.size).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test("[D2] terms that come and go leave nothing behind", () => {
  const table = new TermTable(1);
  for (let number = 0; number < 20_000; number += 1) {
    const text = `this one comes and goes ${number}`;
    table.add(text, hash32(text), 2);
    table.add(text, hash32(text), -2);
  }
  expect(table.size).toBe(0);
  expect(table.byteLength).toBeLessThan(40_000);
});

test("[D2] a vocabulary that has become small takes little again", () => {
  const table = new TermTable(1);
  const texts = Array.from({ length: 20_000 }, (_, number) => `one of many ${number}`);
  for (const text of texts) table.add(text, hash32(text), 1);
  expect(table.byteLength).toBeGreaterThan(400_000);
  for (const text of texts.slice(10)) table.add(text, hash32(text), -1);
  expect(table.byteLength).toBeLessThan(40_000);
  expect(texts.filter((text) => table.sumOf(text, hash32(text)) > 0)).toEqual(texts.slice(0, 10));
});

test("[D2] what can be no term has no sum", () => {
  const table = new TermTable(1);
  for (const text of ["", "\ud800", "x".repeat(10_000), "never added"]) {
    expect(table.sumOf(text, hash32(text))).toBe(0);
  }
});
