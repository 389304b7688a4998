/**
 * What live queries cost in one process: predicates, windows, and one change against many subscriptions.
 *
 * Beside each stands what one would write first: a predicate that reads the condition for each row, a window
 * that is sorted anew with each change, and subscriptions that are asked one after another.
 */
import { Random } from "../../src/core/random.ts";
import { shardOf } from "../../src/core/shard-of.ts";
import type { Delta } from "../../src/live/delta.ts";
import { compileOrder } from "../../src/live/order.ts";
import { compilePredicate } from "../../src/live/predicate.ts";
import { type Condition, type LiveQuery, type Query, readQuery } from "../../src/live/query.ts";
import { LiveRegion } from "../../src/live/region.ts";
import type { RowChange } from "../../src/live/row.ts";
import { type Row, readDeclarations, type Scalar } from "../../src/live/row.ts";
import { RowTable } from "../../src/live/row-table.ts";
import { Window } from "../../src/live/window.ts";
import { elapsedMs, medianOfRounds, percentile } from "./measure.ts";
import type { Section } from "./report.ts";

const ROWS = 4096;
const EVALUATIONS = 400_000;
const UPDATES = 100_000;
const ROUNDS = { rounds: 9, warmUps: 3 };
const SHAPES = 1000;
const SUBSCRIBERS = 10;
const CHANGES = 2000;
const SHARDS = 256;

const TABLES = (() => {
  const columns = {
    title: "string",
    priority: "number",
    done: "boolean",
    owner: "string",
  } as const;
  const read = readDeclarations({ task: columns });
  if (!read.ok) throw new Error(read.message);
  return read.tables;
})();

function queryOf(asked: Partial<LiveQuery>): Query {
  const read = readQuery({ tenant: "t", entity: "task", ...asked }, TABLES);
  if (!read.ok) throw new Error(read.message);
  return read.query;
}

const random = new Random(3);

function rowOf(id: string, version: number): Row {
  const title = `Task ${random.below(1000)} of the week`;
  const owner = `owner-${random.below(100)}`;
  const values: Scalar[] = [id, title, random.below(100_000), random.below(2) === 0, owner];
  return { id, version, values };
}

const WHERE: readonly Condition[] = [
  { column: "done", op: "eq", value: false },
  { column: "priority", op: "gte", value: 20_000 },
  { column: "title", op: "like", value: "Task 1%week" },
];

/** The condition is looked at for each row, and the pattern is an expression. */
function naivePredicate({ values }: Row): boolean {
  const columns = { title: 1, priority: 2, done: 3, owner: 4 } as const;
  return WHERE.every(({ column, op, value }) => {
    const is = values[columns[column as keyof typeof columns]] as Scalar;
    if (op === "eq") return is === value;
    if (op === "gte") return is !== null && Number(is) >= (value as number);
    return new RegExp(`^${String(value).replaceAll("%", ".*")}$`, "s").test(String(is));
  });
}

function predicates(): Section {
  const rows = Array.from({ length: ROWS }, (_, n) => rowOf(`r${n}`, 1));
  const compiled = compilePredicate(queryOf({ where: WHERE }));
  const nsOf = (count: number, belongs: (row: Row) => boolean): number => {
    let found = 0;
    const ms = elapsedMs(() => {
      for (let n = 0; n < count; n += 1) if (belongs(rows[n % ROWS] as Row)) found += 1;
    });
    return found < 0 ? 0 : (ms * 1e6) / count;
  };
  const ns = medianOfRounds(
    {
      compiled: () => nsOf(EVALUATIONS, (row) => compiled(row)),
      naive: () => nsOf(EVALUATIONS / 10, naivePredicate),
    },
    ROUNDS,
  );
  return {
    title: "a predicate of three conditions, one of them a pattern",
    figures: [
      { name: "compiled", value: ns.compiled, unit: "ns", target: { atMost: 80 } },
      { name: "read for each row", value: ns.naive, unit: "ns" },
    ],
  };
}

/** Updates of a window, each of which takes one of the rows that it holds to another place. */
function windows(limit: number, targetNs: number): Section {
  const { sort, table } = queryOf({ sort: [{ column: "priority" }] });
  const order = compileOrder(sort, table);
  const held = limit + Math.max(16, limit / 4); // As many as a view holds.
  const all = Array.from({ length: held }, (_, n) => rowOf(`r${n}`, 1)).sort(order);
  const updates = Array.from({ length: 8192 }, (_, n) => rowOf(`r${random.below(held)}`, n + 2));
  const window = new Window(order, limit, held);
  window.load(all, true);
  const model = new Map(all.map((row) => [row.id, row]));
  let at = 0;
  const ns = medianOfRounds(
    {
      window: () => {
        const ms = elapsedMs(() => {
          for (let n = 0; n < UPDATES; n += 1) {
            const deltas: Delta[] = [];
            at += 1;
            window.put(updates[at % updates.length] as Row, deltas);
          }
        });
        return (ms * 1e6) / UPDATES;
      },
      sorted: () => {
        const count = Math.max(20, 20_000 / limit);
        const ms = elapsedMs(() => {
          for (let n = 0; n < count; n += 1) {
            at += 1;
            const row = updates[at % updates.length] as Row;
            model.set(row.id, row);
            [...model.values()].sort(order).slice(0, limit);
          }
        });
        return (ms * 1e6) / count;
      },
    },
    ROUNDS,
  );
  return {
    title: `an update of a window of ${limit}, deltas included`,
    figures: [
      { name: "window", value: ns.window, unit: "ns", target: { atMost: targetNs } },
      { name: "sorted anew", value: ns.sorted, unit: "ns" },
    ],
  };
}

/** 10 000 subscriptions of 1000 shapes at ten gateways, and changes that concern some of them. */
function fanOut(): Section[] {
  const shard = `shard-${shardOf("t", "task", SHARDS)}`;
  const region = new LiveRegion({ tables: TABLES, shardCount: SHARDS });
  const table = new RowTable();
  for (let n = 0; n < ROWS; n += 1) {
    table.put("t", "task", { ...rowOf(`r${n}`, 1), version: undefined });
  }
  region.serve(shard, { token: 1, writer: "bench" }, table.position);
  const shapes = Array.from({ length: SHAPES }, (_, n) =>
    queryOf({
      where:
        n % 2 === 0
          ? [
              { column: "owner", op: "eq", value: `owner-${(n / 2) % 100}` },
              { column: "priority", op: "gte", value: n },
            ]
          : [
              { column: "priority", op: "gte", value: n * 50 },
              { column: "done", op: "eq", value: false },
            ],
      sort: [{ column: "priority", descending: n % 3 === 0 }],
      limit: 10 + (n % 40),
    }),
  );
  const gateways = Array.from({ length: SUBSCRIBERS }, (_, n) => `gateway-${n}`);
  for (const gateway of gateways) {
    for (const [
      sub,
      {
        spec: query,
        table: { fingerprint: columns },
      },
    ] of shapes.entries()) {
      region.received(gateway, { type: "subscribe", sub, shard, query, columns });
    }
  }
  for (let read = region.nextRead(); read !== undefined; read = region.nextRead()) {
    region.rowsRead(read, table.read(read.request));
  }
  const drain = (): number => {
    let answers = 0;
    for (const gateway of [...region.ready()]) {
      for (let frame = region.nextFrame(gateway); frame !== undefined; ) {
        answers += frame.length;
        frame = region.nextFrame(gateway);
      }
    }
    return answers;
  };
  drain();
  const predicates = shapes.map((query) => compilePredicate(query));
  const [ours, naive]: [number[], number[]] = [[], []];
  let told = 0;
  for (let n = 0; n < CHANGES; n += 1) {
    const row = rowOf(`r${random.below(ROWS)}`, 1);
    const outcome = table.put("t", "task", { ...row, version: undefined });
    const change = (outcome.ok && outcome.change) as RowChange;
    ours.push(
      elapsedMs(() => {
        region.changed(shard, change);
        for (let read = region.nextRead(); read !== undefined; read = region.nextRead()) {
          region.rowsRead(read, table.read(read.request));
        }
      }),
    );
    told += drain();
    naive.push(
      elapsedMs(() => {
        let found = 0;
        for (let each = 0; each < SUBSCRIBERS; each += 1) {
          for (const belongs of predicates) if (belongs(row)) found += 1;
        }
        if (found < 0) throw new Error();
      }),
    );
  }
  const [p50, p99] = [percentile(ours, 0.5), percentile(ours, 0.99)];
  return [
    {
      title: `one change against ${SHAPES * SUBSCRIBERS} subscriptions of ${SHAPES} shapes`,
      figures: [
        { name: "region, p50", value: p50, unit: "ms", target: { atMost: 1 } },
        { name: "region, p99, reads of thin windows included", value: p99, unit: "ms" },
        { name: "messages to gateways", value: told / CHANGES, unit: "" },
        {
          name: "asking every subscription's predicate, p50",
          value: percentile(naive, 0.5),
          unit: "ms",
        },
      ],
    },
  ];
}

/** All that is measured in one process. */
export function measureEngine(): Section[] {
  return [predicates(), windows(10, 150), windows(1000, 1000), ...fanOut()];
}
