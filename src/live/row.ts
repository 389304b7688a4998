/**
 * Rows, and the declarations of what columns they have.
 *
 * An entity of rows is declared before it is used: column by column, each of one type, and each may be
 * null. So a query can be judged where it is asked, before anything is sent, and a row is an array of
 * values in the order of the columns, whatever they are called: `__proto__` cannot even be declared, and
 * `constructor` is a column like any other. The id of a row is its column 0, so that it can be compared,
 * matched and sorted by like any other.
 *
 * Two peers may run different declarations for a while. The fingerprint of one says so.
 *
 * Rules: SPEC.md, section V.
 */
import { isWellFormed } from "../core/canonical.ts";
import type { Refusal } from "../core/error.ts";
import { hash32 } from "../core/hash.ts";
import {
  COLUMNS_MAX,
  ENTITIES_MAX,
  NAME_LENGTH_MAX,
  ROW_ID_LENGTH_MAX,
  ROW_LENGTH_MAX,
} from "./bounds.ts";

/** What a column holds. Numbers are finite. */
export type Scalar = null | boolean | number | string;

export type ColumnType = "boolean" | "number" | "string";

/** The columns of each entity, by name: `{ task: { title: "string", priority: "number" } }`. */
export type Declarations = Readonly<Record<string, Readonly<Record<string, ColumnType>>>>;

/** A row as it is kept: `values[0]` is its id, the others stand in the order of the declared columns. */
export interface Row {
  readonly id: string;
  readonly version: number;
  readonly values: readonly Scalar[];
}

/** A row as users write it. Columns that are left out are null. */
export interface RowInput {
  readonly id: string;
  /** 0 to 2^53 - 1, higher than that of the row it replaces. Default: one more than that. */
  readonly version?: number | undefined;
  readonly columns: Readonly<Record<string, Scalar>>;
}

/** What happened to one row of a shard. */
export interface RowChange {
  readonly tenant: string;
  readonly entity: string;
  /** Grows with each change of the shard. */
  readonly position: number;
  readonly id: string;
  /** The row as it was; undefined when there was none. */
  readonly before: Row | undefined;
  /** Whether nobody knows what it was: it may concern every view of its entity. Default false. */
  readonly isBeforeUnknown?: boolean;
  /** The row as it is; undefined when it is gone. */
  readonly after: Row | undefined;
}

export const ID_COLUMN = 0;

const COLUMN_PATTERN = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;
const TYPES: ReadonlySet<unknown> = new Set<ColumnType>(["boolean", "number", "string"]);

/** The declared columns of one entity; column 0 is `id`. */
export class Table {
  readonly entity: string;
  readonly names: readonly string[];
  readonly types: readonly ColumnType[];
  /** Equal for equal declarations, on every machine. */
  readonly fingerprint: number;
  readonly #indexes: ReadonlyMap<string, number>;

  constructor(entity: string, columns: ReadonlyMap<string, ColumnType>) {
    this.entity = entity;
    this.names = ["id", ...columns.keys()];
    this.types = ["string", ...columns.values()];
    this.#indexes = new Map(this.names.map((name, index) => [name, index]));
    this.fingerprint = hash32(JSON.stringify([this.names, this.types]));
  }

  /** The number of a column; undefined when none is called so. */
  indexOf(name: unknown): number | undefined {
    return this.#indexes.get(name as string);
  }

  /** Reads a row of a user: whatever it is, it becomes a row of this table or a refusal. */
  readRow(input: unknown): { readonly ok: true; readonly row: RowDraft } | Refusal {
    if (!isRecord(input)) return refuse("a row is an object with id and columns");
    const { id, version, columns } = input;
    if (!isRowId(id)) return refuse(`an id is text of 1 to ${ROW_ID_LENGTH_MAX} characters`);
    if (version !== undefined && !isVersion(version)) return refuse("a version is an integer >= 0");
    if (!isRecord(columns)) return refuse("columns are an object of values by name");
    const values: Scalar[] = new Array(this.names.length).fill(null);
    values[ID_COLUMN] = id;
    let length = id.length;
    for (const [name, value] of Object.entries(columns)) {
      const index = this.#indexes.get(name);
      if (index === undefined || index === ID_COLUMN) return refuse("there is no such column");
      const reason = problemOf(value, this.types[index] as ColumnType);
      if (reason !== undefined) return refuse(`column ${this.names[index]} ${reason}`);
      if (typeof value === "string") length += value.length;
      values[index] = (value === 0 ? 0 : value) as Scalar; // -0 is 0.
    }
    if (length > ROW_LENGTH_MAX) return refuse(`a row has over ${ROW_LENGTH_MAX} characters`);
    return { ok: true, row: { id, version, values } };
  }

  /** Whether these are values of a row of this table: for what another peer sends, and a disk held. */
  holds(values: readonly unknown[]): values is readonly Scalar[] {
    return (
      values.length === this.names.length &&
      isRowId(values[ID_COLUMN]) &&
      values.every(
        (value, index) => problemOf(value, this.types[index] as ColumnType) === undefined,
      )
    );
  }

  /** The columns of a row by name, without its id. */
  columnsOf({ values }: Row): Record<string, Scalar> {
    const columns: Record<string, Scalar> = {};
    for (let index = 1; index < values.length; index += 1) {
      columns[this.names[index] as string] = values[index] as Scalar;
    }
    return columns;
  }
}

/** A row that may still have to be given its version. */
export interface RowDraft {
  readonly id: string;
  readonly version: number | undefined;
  readonly values: readonly Scalar[];
}

/** Reads what a user declares. */
export function readDeclarations(
  declared: unknown,
): { readonly ok: true; readonly tables: ReadonlyMap<string, Table> } | Refusal {
  if (!isRecord(declared)) return refuse("entities are an object of columns by name");
  const entities = Object.entries(declared);
  if (entities.length > ENTITIES_MAX) return refuse(`there are over ${ENTITIES_MAX} entities`);
  const tables = new Map<string, Table>();
  for (const [entity, columns] of entities) {
    if (!isName(entity)) return refuse(`an entity's name has 1 to ${NAME_LENGTH_MAX} characters`);
    if (!isRecord(columns)) return refuse("columns are an object of types by name");
    const types = Object.entries(columns);
    if (types.length > COLUMNS_MAX) return refuse(`an entity has over ${COLUMNS_MAX} columns`);
    for (const [name, type] of types) {
      if (!COLUMN_PATTERN.test(name) || name === "id") return refuse("a column has a wrong name");
      if (!TYPES.has(type)) return refuse("a type is boolean, number or string");
    }
    tables.set(entity, new Table(entity, new Map(types as [string, ColumnType][])));
  }
  return { ok: true, tables };
}

/** Whether `name` can name a tenant or an entity. */
export function isName(name: unknown): name is string {
  return (
    typeof name === "string" &&
    name !== "" &&
    name.length <= NAME_LENGTH_MAX &&
    !name.includes("\0") && // What separates the two where they are hashed.
    isWellFormed(name)
  );
}

export function isRowId(id: unknown): id is string {
  return typeof id === "string" && id !== "" && id.length <= ROW_ID_LENGTH_MAX && isWellFormed(id);
}

export function isVersion(version: unknown): version is number {
  return Number.isSafeInteger(version) && (version as number) >= 0;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Why a value does not belong into a column of this type, in words for "column x ..."; or undefined. */
function problemOf(value: unknown, type: ColumnType): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== type) return `holds a ${type}`;
  if (typeof value === "number" && !Number.isFinite(value)) return "holds finite numbers";
  if (typeof value === "string" && !isWellFormed(value))
    return "holds text without half characters";
  return undefined;
}

function refuse(reason: string): Refusal {
  return { ok: false, code: "BAD_REQUEST", message: `Cannot use these rows: ${reason}` };
}
