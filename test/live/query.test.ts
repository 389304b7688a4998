import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CURSOR_LENGTH_MAX, LIMIT_MAX, PATTERN_LENGTH_MAX } from "../../src/live/bounds.ts";
import { cursorOf } from "../../src/live/cursor.ts";
import { compileOrder } from "../../src/live/order.ts";
import { compilePredicate } from "../../src/live/predicate.ts";
import { type Clause, readQuery } from "../../src/live/query.ts";
import { readDeclarations } from "../../src/live/row.ts";
import { belongs, ids, queryOf, rowOf, sort, TABLES, TASK, topOf, values, where } from "./rows.ts";

const row = fc.tuple(ids(4), values).map(([id, columns]) => rowOf(id, 1, columns));

const refusalOf = (asked: object): string => {
  const result = readQuery({ tenant: "t", entity: "task", ...asked }, TABLES);
  if (result.ok) throw new Error("It was taken");
  expect(result.code).toBe("BAD_REQUEST");
  return result.message;
};

describe("what belongs to a query", () => {
  test("[V1] a row belongs to a query exactly when a naive reading of it says so", () => {
    fc.assert(
      fc.property(where, fc.array(row), (clauses, rows) => {
        const predicate = compilePredicate(queryOf({ where: clauses }));
        for (const each of rows) expect(predicate(each)).toBe(belongs(each, clauses));
      }),
      { numRuns: 2000 },
    );
  });

  test("[V1] a comparison with null is not true, also when it is a negation", () => {
    const empty = rowOf("r0", 1, [null, null, null, null]);
    const conditions: Clause[] = [
      { column: "title", op: "ne", value: "a" },
      { column: "title", op: "notin", value: ["a", "b"] },
      { column: "title", op: "like", value: "%" },
      { column: "title", op: "lt", value: "a" },
      { column: "priority", op: "gte", value: 0 },
      { column: "priority", op: "lte", value: 0 },
    ];
    for (const condition of conditions) {
      expect(compilePredicate(queryOf({ where: [condition] }))(empty)).toBe(false);
    }
    const isNull = queryOf({ where: [{ column: "title", op: "isnull" }] });
    expect(compilePredicate(isNull)(empty)).toBe(true);
  });

  test("[V1] a list without values holds nothing, and leaves out nothing", () => {
    const some = rowOf("r0", 1, ["a", null, null, null]);
    const by = (op: "in" | "notin") => queryOf({ where: [{ column: "title", op, value: [] }] });
    expect(compilePredicate(by("in"))(some)).toBe(false);
    expect(compilePredicate(by("notin"))(some)).toBe(true);
  });
});

describe("the shape of a query", () => {
  test("[V1] order and repetition of clauses do not change it", () => {
    fc.assert(
      fc.property(where, sort, fc.nat(), (clauses, keys, turn) => {
        const turned = clauses.map(
          (_, index) => clauses[(index + turn) % clauses.length] as Clause,
        );
        const again = queryOf({ where: [...turned, ...clauses], sort: [...keys, ...keys] });
        expect(again.shape).toBe(queryOf({ where: clauses, sort: keys }).shape);
      }),
    );
  });

  test("[V1] what travels has the shape of what was asked", () => {
    fc.assert(
      fc.property(where, sort, row, fc.boolean(), (clauses, keys, last, isStreamed) => {
        const plain = queryOf({ where: clauses, sort: keys });
        const cursor = cursorOf(last, plain.sort, TASK) as string;
        const query = isStreamed
          ? queryOf({ where: clauses, mode: "streamed" })
          : queryOf({ where: clauses, sort: keys, cursor, limit: 7 });
        const travelled = JSON.parse(JSON.stringify(query.spec));
        expect(queryOf(travelled)).toEqual(query);
      }),
    );
  });

  test("[V1] ways to say the same have one shape, and other queries have another", () => {
    const shape = (...clauses: Clause[]): string => queryOf({ where: clauses }).shape;
    const eq: Clause = { column: "priority", op: "eq", value: 0 };
    expect(shape({ column: "priority", op: "in", value: [0, 0] })).toBe(shape(eq));
    expect(shape({ column: "priority", op: "eq", value: -0 })).toBe(shape(eq));
    expect(shape({ or: [eq] })).toBe(shape(eq));
    expect(shape({ or: [[eq, eq]] })).toBe(shape(eq));
    expect(shape({ column: "priority", op: "ne", value: 0 })).not.toBe(shape(eq));
    expect(queryOf({ limit: 9 }).shape).not.toBe(queryOf({ limit: 8 }).shape);
    expect(queryOf({ tenant: "u" }).shape).not.toBe(queryOf({}).shape);
    expect(queryOf({ mode: "streamed" }).shape).not.toBe(queryOf({}).shape);
  });
});

describe("the order of a query", () => {
  test("[V2] rows stand by the columns, null first, and in the end by id", () => {
    fc.assert(
      fc.property(fc.uniqueArray(row, { selector: ({ id }) => id }), sort, (rows, keys) => {
        const query = queryOf({ sort: keys });
        const sorted = [...rows].sort(compileOrder(query.sort, TASK));
        expect(sorted).toEqual(topOf(rows, {}, query.sort));
      }),
    );
  });

  test("[V2] behind a cursor stand exactly the rows that its row stands before", () => {
    fc.assert(
      fc.property(row, row, sort, (last, other, keys) => {
        const plain = queryOf({ sort: keys });
        const cursor = cursorOf(last, plain.sort, TASK) as string;
        const predicate = compilePredicate(queryOf({ sort: keys, cursor }));
        expect(predicate(other)).toBe(compileOrder(plain.sort, TASK)(last, other) < 0);
      }),
    );
  });
});

describe("a query of a stranger", () => {
  test("[V1] whatever it is, it becomes a query or a refusal", () => {
    const anything = fc.anything({
      withBigInt: true,
      withSparseArray: true,
      withNullPrototype: true,
    });
    const nearly = fc.record(
      { where: anything, sort: anything, limit: anything, cursor: anything, mode: anything },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(anything, nearly), (asked) => {
        const isObject = typeof asked === "object" && asked !== null;
        const whole = isObject ? { tenant: "t", entity: "task", ...asked } : asked;
        const result = readQuery(whole, TABLES);
        expect(result.ok ? result.query.limit : result.code).toSatisfy(
          (answer) => answer === "BAD_REQUEST" || answer <= 10_000,
        );
      }),
      { numRuns: 2000 },
    );
  });

  test("[V1] columns and entities that are not declared are refused, the prototype's included", () => {
    for (const column of ["nope", "__proto__", "toString", "", 0, null, ["title"]]) {
      expect(refusalOf({ where: [{ column, op: "isnull" }] })).toContain("not declared");
      expect(refusalOf({ sort: [{ column }] })).toContain("not declared");
    }
    for (const entity of ["other", "__proto__"]) expect(refusalOf({ entity })).toContain("entity");
  });

  test("[V1] a limit is 1 to its maximum", () => {
    for (const limit of [0, -1, 1.5, LIMIT_MAX + 1, 1e9, Number.NaN, "10", null, [10]]) {
      expect(refusalOf({ limit })).toContain("limit");
    }
    expect(queryOf({ limit: LIMIT_MAX }).limit).toBe(LIMIT_MAX);
  });

  test("[V1] arrays where scalars are due, and the other way round, are refused", () => {
    const title = (op: string, value?: unknown) => ({ where: [{ column: "title", op, value }] });
    const number = (op: string, value?: unknown) => ({
      where: [{ column: "priority", op, value }],
    });
    const wrong = [
      ...[title("eq", ["a"]), title("eq", {}), title("eq", null), title("eq", 1), title("eq")],
      ...[title("in", "a"), title("in", [["a"]]), title("in", [null]), title("isnull", "a")],
      ...[title("in", new Array(257).fill("a")), title("eq", "a".repeat(4097)), title("", "a")],
      ...[
        title("eval", "a"),
        title("like", "a\\"),
        title("like", "a".repeat(PATTERN_LENGTH_MAX + 1)),
      ],
      ...[number("like", "%"), number("gt", "1"), number("eq", Number.NaN), number("eq", 1n)],
      { where: [{ column: "done", op: "gt", value: true }] },
      ...[{ where: {} }, { where: [[]] }, { where: [{ or: [] }] }, { where: [{ or: [[]] }] }],
      { where: [{ or: [{ or: [] }] }] },
      { where: new Array(33).fill({ column: "title", op: "isnull" }) },
      ...[{ sort: "title" }, { sort: ["title"] }, { sort: [{ column: "title", descending: 1 }] }],
      { sort: new Array(9).fill({ column: "title" }) },
      ...[{ mode: "other" }, { mode: "streamed", limit: 1 }, { unknown: 1 }],
      ...[{ tenant: "" }, { tenant: 1 }, { tenant: "a\0b" }, { tenant: "\ud800" }],
      { tenant: "t".repeat(129) },
      { mode: "streamed", sort: [{ column: "title" }] },
    ];
    for (const asked of wrong) refusalOf(asked);
  });

  test("[V1] a forged cursor is refused: of another order, of wrong values, or none at all", () => {
    const query = queryOf({ sort: [{ column: "priority" }] });
    const good = cursorOf(rowOf("r1", 1, ["a", 1, true, null]), query.sort, TASK) as string;
    const [mark] = JSON.parse(good);
    const forged = [
      ...["", "{}", "[]", "null", "[1]", good.slice(1), `${good} x`, `[${mark},1]`],
      ...[`[${mark},"1","r1"]`, `[${mark},1,null]`, `[${mark},1e999,"r1"]`, `[${mark},1,["r1"]]`],
      ...[`[${mark + 1},1,"r1"]`, `[${mark},1,"\\ud800"]`, 1, null, ["r1"]],
      `[${mark},1,"${"r".repeat(CURSOR_LENGTH_MAX)}"]`,
    ];
    for (const cursor of forged) refusalOf({ sort: [{ column: "priority" }], cursor });
    refusalOf({ sort: [{ column: "priority", descending: true }], cursor: good });
    expect(queryOf({ sort: [{ column: "priority" }], cursor: good }).cursor).toEqual([1, "r1"]);
  });

  test("[V1] a getter that throws is a refusal", () => {
    const asked = {
      get where() {
        throw new Error("boo");
      },
    };
    const trap = new Proxy(asked, {
      ownKeys: () => {
        throw new Error("boo");
      },
    });
    expect(readQuery(trap, TABLES).ok).toBe(false);
    expect(readQuery({ tenant: "t", entity: "task", where: [trap] }, TABLES).ok).toBe(false);
  });
});

describe("declarations and rows", () => {
  test("[V1] a declaration says what is wrong with it", () => {
    const wrong = [
      ...[null, [], "x", { task: [] }, { task: { a: "text" } }, { task: { id: "string" } }],
      ...[{ task: { "": "string" } }, { task: { _a: "string" } }, { "": {} }, { "a\0b": {} }],
      { task: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`c${n}`, "string"])) },
      JSON.parse('{ "task": { "__proto__": "string" } }'),
    ];
    for (const declared of wrong) expect(readDeclarations(declared).ok).toBe(false);
  });

  test("[V1] a row is read by its table, or refused", () => {
    const columns = { title: "a", constructor: "b" };
    expect(TASK.readRow({ id: "r", columns })).toEqual({
      ok: true,
      row: { id: "r", version: undefined, values: ["r", "a", null, null, "b"] },
    });
    const wrong = [
      ...[null, [], {}, { id: "r" }, { id: "", columns }, { id: "r", columns: { nope: 1 } }],
      ...[
        { id: 1, columns },
        { id: "r", columns: { id: "x" } },
        { id: "r", columns: { title: 1 } },
      ],
      ...[
        { id: "r", version: -1, columns },
        { id: "r", version: 2 ** 53, columns },
      ],
      { id: "r", columns: { priority: Number.POSITIVE_INFINITY } },
      { id: "r", columns: { title: "\ud800" } },
      { id: "r", columns: { title: "a".repeat(65_536) } },
      { id: "r", columns: JSON.parse('{ "__proto__": "a" }') },
    ];
    for (const input of wrong) expect(TASK.readRow(input).ok).toBe(false);
  });
});
