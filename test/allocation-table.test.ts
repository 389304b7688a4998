import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AllocationTable } from "../src/allocation-table.ts";
import { timestampMs } from "../src/core/clock.ts";
import type { Entry } from "../src/core/message.ts";
import { compareTokens } from "../src/core/token.ts";
import { decodeSnapshot, encodeSnapshot } from "../src/wire/codec.ts";

const WALL_MS = 1_800_000_000_000;

/** A table whose wall clock stands still, `aheadMs` from the others'. */
function tableOf(writer: string, aheadMs = 0): AllocationTable {
  return new AllocationTable({ writer, wallMs: () => WALL_MS + aheadMs });
}

function rows(table: AllocationTable): string[] {
  return table.allocations().map(({ shard, region }) => `${shard} ${region}`);
}

function entriesOf(table: AllocationTable): readonly Entry[] {
  const decoded = decodeSnapshot(table.snapshot());
  if (!decoded.ok) throw new Error(decoded.message);
  return decoded.maps[0]?.entries ?? [];
}

describe("what the table it replaces can do", () => {
  test("a shard that was allocated has its region", () => {
    const table = new AllocationTable();
    table.allocate("s1", "r1");
    table.allocate("s2", "r2");
    expect(table.regionFor("s1")).toBe("r1");
    expect(table.regionFor("s2")).toBe("r2");
    expect(table.regionFor("s3")).toBeUndefined();
    expect(table.shardCount).toBe(2);
  });

  test("[A1] a later allocation supersedes an earlier one, and says which", () => {
    const table = tableOf("w");
    const first = table.allocate("s1", "r1");
    const second = table.allocate("s1", "r2");
    expect(first).toEqual({ shard: "s1", region: "r1", token: first.token, writer: "w" });
    expect(second).toEqual({
      ...{ shard: "s1", region: "r2", token: first.token + 1, writer: "w" },
      superseded: first,
    });
    expect(table.allocations()).toEqual([
      { shard: "s1", region: "r2", token: second.token, writer: "w" },
    ]);
  });

  test("merging takes the higher timestamp, wherever it comes from", () => {
    const local = tableOf("local");
    local.allocate("s1", "r1");
    const remote = tableOf("remote", 1000);
    const { token } = remote.allocate("s1", "r-remote");
    const changes = local.mergeRemote(remote.snapshot());
    expect(local.regionFor("s1")).toBe("r-remote");
    expect(changes).toMatchObject([{ shard: "s1", region: "r-remote", token, writer: "remote" }]);
    expect(changes[0]?.superseded?.region).toBe("r1");
  });

  test("[M3] merging keeps what is newer here, and then returns nothing", () => {
    const remote = tableOf("remote", -1000);
    remote.allocate("s1", "r-stale");
    const local = tableOf("local");
    local.allocate("s1", "r-local");
    expect(local.mergeRemote(remote.snapshot())).toEqual([]);
    expect(local.mergeRemote(local.snapshot())).toEqual([]);
    expect(local.regionFor("s1")).toBe("r-local");
  });

  test("allocations are sorted by shard", () => {
    const table = tableOf("w");
    table.allocate("zebra", "r2");
    table.allocate("alpha", "r1");
    table.allocate("middle", "r3");
    expect(rows(table)).toEqual(["alpha r1", "middle r3", "zebra r2"]);
  });

  test("a snapshot does not change with later writes", () => {
    const table = tableOf("w");
    table.allocate("s1", "r1");
    const snapshot = table.snapshot();
    const bytes = snapshot.slice();
    table.allocate("s1", "r2");
    table.allocate("s2", "r2");
    expect(snapshot).toEqual(bytes);
    const restored = tableOf("other");
    restored.mergeRemote(snapshot);
    expect(rows(restored)).toEqual(["s1 r1"]);
  });

  test("a table that joins late adopts everything", () => {
    const remote = tableOf("remote");
    const written = [remote.allocate("s1", "rA"), remote.allocate("s2", "rB")];
    const local = tableOf("local");
    expect(local.mergeRemote(remote.snapshot())).toEqual(written);
    expect(local.allocations()).toEqual(written);
    expect(local.fingerprint()).toBe(remote.fingerprint());
  });
});

describe("what the table it replaces gets wrong", () => {
  test("[M2] writes of the same moment end up the same everywhere", () => {
    const a = tableOf("a");
    const b = tableOf("b");
    expect(a.allocate("s1", "r-a").token).toBe(b.allocate("s1", "r-b").token);
    a.mergeRemote(b.snapshot());
    b.mergeRemote(a.snapshot());
    expect(a.regionFor("s1")).toBe("r-b");
    expect(b.allocations()).toEqual(a.allocations());
    expect(b.fingerprint()).toBe(a.fingerprint());
  });

  test("[M2] even two writers with one name and one moment end up the same", () => {
    const original = tableOf("w");
    const clone = tableOf("w");
    original.allocate("s1", "r1");
    clone.allocate("s1", "r2");
    original.mergeRemote(clone.snapshot());
    clone.mergeRemote(original.snapshot());
    expect(clone.allocations()).toEqual(original.allocations());
  });

  test("[C3] a write after merging those of a clock that is ahead supersedes them", () => {
    const ahead = tableOf("ahead", 4000);
    const behind = tableOf("behind");
    ahead.allocate("s1", "r-ahead");
    behind.mergeRemote(ahead.snapshot());
    const written = behind.allocate("s1", "r-behind");
    expect(written.superseded?.region).toBe("r-ahead");
    ahead.mergeRemote(behind.snapshot());
    expect(ahead.regionFor("s1")).toBe("r-behind");
  });

  test("[C4] an entry from the far future is skipped, pins no shard and drags no clock", () => {
    const broken = tableOf("broken", 3_600_000);
    broken.allocate("s1", "r-future");
    const near = tableOf("near", 5000);
    near.allocate("s2", "r-near");
    broken.mergeRemote(near.snapshot());
    const table = tableOf("w");
    expect(table.mergeRemote(broken.snapshot())).toMatchObject([{ shard: "s2" }]);
    expect(table.regionFor("s1")).toBeUndefined();
    const { token } = table.allocate("s1", "r1");
    expect(timestampMs(token)).toBe(WALL_MS + 5000);
    expect(rows(table)).toEqual(["s1 r1", "s2 r-near"]);
  });

  test("[C4] how far ahead an entry may be can be chosen", () => {
    const remote = tableOf("remote", 1001);
    remote.allocate("s1", "r1");
    const wallMs = (): number => WALL_MS;
    const strict = new AllocationTable({ wallMs, maxDriftMs: 1000 });
    expect(strict.mergeRemote(remote.snapshot())).toEqual([]);
    const lenient = new AllocationTable({ wallMs, maxDriftMs: 1001 });
    expect(lenient.mergeRemote(remote.snapshot())).toHaveLength(1);
  });

  test("a shard can be released", () => {
    const table = tableOf("w");
    const { token } = table.allocate("s1", "r1");
    const released = table.release("s1");
    expect(released).toEqual({
      ...{ shard: "s1", region: undefined, token: token + 1, writer: "w" },
      superseded: { shard: "s1", region: "r1", token, writer: "w" },
    });
    expect(table.regionFor("s1")).toBeUndefined();
    expect(table.allocations()).toEqual([]);
    expect(table.shardCount).toBe(0);
  });

  test("a release travels, and says so", () => {
    const here = tableOf("here");
    const there = tableOf("there");
    here.allocate("s1", "r1");
    there.mergeRemote(here.snapshot());
    const { token } = here.release("s1");
    expect(there.mergeRemote(here.snapshot())).toMatchObject([
      { shard: "s1", region: undefined, token, superseded: { region: "r1" } },
    ]);
    expect(there.shardCount).toBe(0);
    expect(there.fingerprint()).toBe(here.fingerprint());
  });

  test("[M4] a released shard does not come back by an older snapshot", () => {
    const table = tableOf("w");
    table.allocate("s1", "r1");
    const old = table.snapshot();
    table.release("s1");
    expect(table.mergeRemote(old)).toEqual([]);
    expect(table.regionFor("s1")).toBeUndefined();
    table.allocate("s1", "r2");
    expect(table.regionFor("s1")).toBe("r2");
  });

  test("[M4] a release beats an allocation that arrives after it but was made before it", () => {
    const early = tableOf("early", -10);
    early.allocate("s1", "r1");
    const table = tableOf("w");
    expect(table.release("s1")).not.toHaveProperty("superseded");
    expect(table.mergeRemote(early.snapshot())).toEqual([]);
    expect(table.regionFor("s1")).toBeUndefined();
  });

  test("[R5] the fencing tokens of a shard only grow, at a clock that steps back, too", () => {
    let wallMs = WALL_MS;
    const table = new AllocationTable({ writer: "w", wallMs: () => wallMs });
    const other = tableOf("other", 3000);
    let last = table.allocate("s1", "r1");
    for (const step of [0, -60_000, 1, 5000, -1]) {
      wallMs += step;
      table.mergeRemote(other.snapshot());
      const next = table.allocate("s1", "r1");
      expect(compareTokens(next, last)).toBeGreaterThan(0);
      last = next;
    }
  });
});

describe("tables in general", () => {
  /** Few shards, regions and tables, so that writes collide often. */
  const write = fc.record({
    table: fc.nat(2),
    shard: fc.constantFrom("s1", "s2", "constructor"),
    region: fc.constantFrom("r1", "r2", undefined),
    /** Whose snapshot is merged before the write; undefined: nobody's. */
    from: fc.option(fc.nat(2), { nil: undefined }),
  });

  test("[M1] tables that have seen the same writes are equal, in whatever order they saw them", () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 20 }), fc.boolean(), (writes, sameWriter) => {
        const names = sameWriter ? ["w", "w", "w"] : ["w0", "w1", "w2"];
        const tables = names.map((name, index) => tableOf(name, index));
        for (const { table, shard, region, from } of writes) {
          const writer = tables[table] as AllocationTable;
          if (from !== undefined) writer.mergeRemote((tables[from] as AllocationTable).snapshot());
          if (region === undefined) writer.release(shard);
          else writer.allocate(shard, region);
        }
        const snapshots = tables.map((table) => table.snapshot());
        const [first, ...others] = tables.map((_, index) => {
          const merged = tableOf("reader");
          for (const snapshot of [...snapshots.slice(index), ...snapshots]) {
            merged.mergeRemote(snapshot);
          }
          return merged;
        });
        for (const other of others) {
          expect(other.allocations()).toEqual(first?.allocations());
          expect(other.fingerprint()).toBe(first?.fingerprint());
          expect(other.shardCount).toBe(first?.allocations().length);
        }
      }),
    );
  });

  test("the fingerprint names what is allocated, and by which write", () => {
    const table = tableOf("w");
    const empty = table.fingerprint();
    expect(empty).toMatch(/^[0-9a-f]{16}$/);
    table.allocate("s1", "r1");
    const first = table.fingerprint();
    table.allocate("s1", "r1");
    expect(new Set([empty, first, table.fingerprint()]).size).toBe(3);
    table.release("s1");
    expect(table.fingerprint()).toBe(empty);
  });

  test("[M7] malformed bytes are refused by a code and change nothing", () => {
    const table = tableOf("w");
    table.allocate("s1", "r1");
    const other = tableOf("other", 1);
    other.allocate("s1", "r2");
    const good = other.snapshot();
    const hostile = [
      new Uint8Array(0),
      new Uint8Array([1]),
      good.subarray(0, -1),
      new Uint8Array([...good, 0]),
      new Uint8Array([2, ...good.subarray(1)]),
      new TextEncoder().encode('{"s1":"r2"}'),
    ];
    const before = [table.fingerprint(), table.allocate("s2", "r1").token];
    for (const bytes of hostile) {
      expect(() => table.mergeRemote(bytes)).toThrow(
        expect.objectContaining({ name: "HearsayError", code: "MALFORMED_FRAME" }),
      );
    }
    table.release("s2");
    expect(table.fingerprint()).toBe(before[0]);
  });

  test("[S5] any bytes are merged or refused, and nothing else is thrown", () => {
    const other = tableOf("other");
    for (const shard of ["s1", "s2", "s3"]) other.allocate(shard, "r1");
    const good = other.snapshot();
    const cut = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
      const bytes = good.slice();
      bytes[at] = byte;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), cut), (bytes) => {
        try {
          tableOf("w").mergeRemote(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: "HearsayError" });
        }
      }),
    );
  });

  test("[G10] what this version cannot read names no region, and is passed on", () => {
    const stamp = { time: 1, writer: "later" };
    const snapshot = encodeSnapshot([
      {
        map: "allocations",
        entries: [
          { key: "s1", value: [7], ...stamp },
          { key: "s2", value: ["r1", "a field of a later version"], ...stamp },
          { key: "not a shard", value: ["r1"], ...stamp },
        ],
      },
      { map: "a map of a later version", entries: [{ key: "x", value: 1, ...stamp }] },
    ]);
    const table = tableOf("w");
    expect(table.mergeRemote(snapshot)).toMatchObject([{ shard: "s2", region: "r1" }]);
    expect(rows(table)).toEqual(["s2 r1"]);
    expect(table.shardCount).toBe(1);
    expect(entriesOf(table).map(({ key }) => key)).toEqual(["not a shard", "s1", "s2"]);
  });

  test("one snapshot with a shard twice changes it once", () => {
    const entry = (time: number, region: string): Entry => ({
      ...{ key: "s1", value: [region], time, writer: "w" },
    });
    const snapshot = encodeSnapshot([
      { map: "allocations", entries: [entry(1, "r1")] },
      { map: "allocations", entries: [entry(2, "r2")] },
    ]);
    const changes = tableOf("w").mergeRemote(snapshot);
    expect(changes).toEqual([{ shard: "s1", region: "r2", token: 2, writer: "w" }]);
  });

  test("names are checked, and a table without a writer makes up a unique one", () => {
    const table = new AllocationTable();
    for (const name of ["", "-a", "a b", "x".repeat(65), "__proto__", 7 as never]) {
      expect(() => table.allocate(name, "r1")).toThrow(TypeError);
      expect(() => table.allocate("s1", name)).toThrow(TypeError);
      expect(() => table.release(name)).toThrow(TypeError);
    }
    expect(() => table.mergeRemote("bytes" as never)).toThrow(TypeError);
    expect(() => new AllocationTable({ writer: "" })).toThrow(TypeError);
    expect(() => new AllocationTable({ maxDriftMs: -1 })).toThrow(RangeError);
    const writers = [1, 2, 3].map(() => new AllocationTable().allocate("s1", "r1").writer);
    expect(new Set(writers).size).toBe(3);
    for (const writer of writers) expect(writer).toMatch(/^[0-9a-z]{8,}-[\w-]{20,}$/);
  });
});
