/**
 * What the arguments of calls must look like.
 *
 * A parameter says why a value is not one of its kind, and the same words serve both ends: a client
 * refuses its caller's mistake with a TypeError before anything is sent, and a peer refuses a stranger's
 * with `BAD_REQUEST`. They name the parameter and never quote the value.
 *
 * Rules: SPEC.md, S4.
 */
import { whyNoPhases } from "../core/barrier.ts";
import { isWellFormed } from "../core/canonical.ts";
import type { Contribution } from "../core/contribution.ts";
import {
  FRAME_ELEMENTS_MAX,
  KEY_LENGTH_MAX,
  PHASES_MAX,
  RPC_TEXT_LENGTH_MAX,
} from "../core/limits.ts";
import { isShardWeight, SHARD_WEIGHT_MAX } from "../core/registry.ts";
import { NAME_PATTERN } from "../core/units.ts";

/** One parameter of a method, whose arguments are of type `T`. */
export interface Parameter<T> {
  /** Completes "Cannot call ...: ". Undefined for an argument that is fine. */
  readonly problem: (value: unknown) => string | undefined;
  /** Carries the type; there is no value. */
  readonly argument?: T;
}

/** The type of a parameter's arguments. */
export type ArgumentOf<P> = P extends Parameter<infer T> ? T : never;

/** The name of a peer or a shard. */
export const name = (label: string): Parameter<string> =>
  parameter(
    `${label} is no name of 1 to 64 letters, digits, ".", "_" and "-"`,
    (value) => typeof value === "string" && NAME_PATTERN.test(value),
  );

/** Any text, also none: a document, a term. */
export const text = (label: string): Parameter<string> =>
  parameter(
    `${label} is no well-formed text of at most ${RPC_TEXT_LENGTH_MAX} characters`,
    (value) =>
      typeof value === "string" && value.length <= RPC_TEXT_LENGTH_MAX && isWellFormed(value),
  );

/** True or false. */
export const flag = (label: string): Parameter<boolean> =>
  parameter(`${label} is not true or false`, (value) => typeof value === "boolean");

/** An integer from `min` to `max`. */
export const integer = (label: string, min: number, max: number): Parameter<number> =>
  parameter(
    `${label} is no integer from ${min} to ${max}`,
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  );

/** A list of at most `lengthMax` values of one kind. */
export const list = <T>(
  label: string,
  { problem }: Parameter<T>,
  lengthMax: number,
): Parameter<readonly T[]> => ({
  problem: (value) => {
    if (!Array.isArray(value)) return `${label} is no list`;
    if (value.length > lengthMax) return `${label} has more than ${lengthMax} elements`;
    for (const each of value) {
      const wrong = problem(each);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  },
});

/** Terms of a contribution: a frame holds a term and its frequency as elements of one array. */
const CONTRIBUTION_TERMS_MAX = Math.floor((FRAME_ELEMENTS_MAX - 1) / 2);

/** What a shard contributes to document frequencies. The values in it are judged where it is published. */
export const contribution = (label: string): Parameter<Contribution> =>
  parameter(
    `${label} is no object of documents and a map of at most ${CONTRIBUTION_TERMS_MAX} terms`,
    (value) => {
      if (typeof value !== "object" || value === null) return false;
      const { documents, terms, ...rest } = value as Record<string, unknown>;
      const isMap = terms instanceof Map && terms.size <= CONTRIBUTION_TERMS_MAX;
      return typeof documents === "number" && isMap && Object.keys(rest).length === 0;
    },
  );

/** The same, or null. */
export const orNull = <T>({ problem }: Parameter<T>): Parameter<T | null> => ({
  problem: (value) => (value === null ? undefined : problem(value)),
});

/** The same, or nothing. */
export const optional = <T>({ problem }: Parameter<T>): Parameter<T | undefined> => ({
  problem: (value) => (value === undefined ? undefined : problem(value)),
});

/** Text that names a shard for good. */
export const key = (label: string): Parameter<string> =>
  parameter(
    `${label} is no well-formed text of 1 to ${KEY_LENGTH_MAX} characters`,
    (value) =>
      typeof value === "string" &&
      value.length > 0 &&
      value.length <= KEY_LENGTH_MAX &&
      isWellFormed(value),
  );

/** Share of a shard of the documents. */
export const weight = (label: string): Parameter<number> =>
  parameter(`${label} is no number from 1/16 to ${SHARD_WEIGHT_MAX}`, isShardWeight);

/** The phases of a tick, in order; upper case is lowered where they are used. */
export const phases = (label: string): Parameter<readonly string[]> => ({
  problem: (value) => {
    if (!Array.isArray(value)) return `${label} is no list`;
    if (value.length > PHASES_MAX) return `there are more than ${PHASES_MAX} ${label}`;
    return whyNoPhases(
      value.map((phase: unknown) => (typeof phase === "string" ? phase.toLowerCase() : "")),
    );
  },
});

type Fields = Readonly<Record<string, Parameter<unknown>>>;

/** An object with these fields and no others. Any of them may be absent, and so may the object. */
export const options = <const F extends Fields>(
  fields: F,
): Parameter<{ readonly [Name in keyof F]?: ArgumentOf<F[Name]> } | undefined> => ({
  problem: (value) => {
    if (value === undefined) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return "the options are no object";
    }
    for (const [field, given] of Object.entries(value)) {
      if (!Object.hasOwn(fields, field)) return "there is an option that this method does not have";
      if (given === undefined) continue;
      const problem = (fields[field] as Parameter<unknown>).problem(given);
      if (problem !== undefined) return problem;
    }
    return undefined;
  },
});

/** An object with all of these fields and no others. */
export const fields = <const F extends Fields>(
  required: F,
): Parameter<{ readonly [Name in keyof F]: ArgumentOf<F[Name]> }> => ({
  problem: (value) => {
    const missing = "a field of the object is missing";
    if (typeof value !== "object" || value === null) return missing;
    const isWhole = Object.keys(required).every((field) => Object.hasOwn(value, field));
    return isWhole ? options(required).problem(value) : missing;
  },
});

function parameter<T>(wrong: string, isFine: (value: unknown) => boolean): Parameter<T> {
  return { problem: (value) => (isFine(value) ? undefined : wrong) };
}
