/**
 * The calls that one peer may pass on to another, as the values that travel.
 *
 * A call that only a certain peer can carry out (the region of a shard, say) is sent to that peer and
 * carried out there as if a user had called it there. So the list below is also the list of what an
 * admitted peer may make another one do: what is not in it cannot be asked for from afar.
 *
 * A call travels as `[number, field, ...]`, its result as one value. Both come from outside: a reader
 * answers undefined unless every field is sane.
 *
 * Rules: SPEC.md, S4 and S5.
 */
import { whyNoPhases } from "./barrier.ts";
import { decodeParts, encodeTerms } from "./contribution.ts";
import type { CallRequest } from "./event.ts";
import { STAGED_PART_LENGTH_MAX, WRITER_LENGTH_MAX } from "./limits.ts";
import type { Value } from "./message.ts";
import { isCount } from "./shard-metrics.ts";
import { isPhase, isPhaseTimeout, isTick } from "./tick-view.ts";
import { NAME_PATTERN } from "./units.ts";

interface Form<C extends CallRequest> {
  /** What it begins with. Never given to another call. */
  readonly number: number;
  readonly fieldCount: number;
  readonly write: (call: C) => readonly Value[];
  readonly read: (fields: readonly Value[]) => C | undefined;
  /** Whether a value can be what the call answers; null is what answers nothing. */
  readonly isResult: (value: Value) => boolean;
}

/** The types of call that may be passed on. */
export type PassedType =
  | "shard-metrics"
  | "tick-start"
  | "phase-complete"
  | "publish-frequencies"
  | "stage-frequencies"
  | "publish-staged-frequencies"
  | "drain";

export type PassedCall = Extract<CallRequest, { readonly type: PassedType }>;

type Forms = {
  readonly [T in PassedType]: Form<Extract<CallRequest, { readonly type: T }>>;
};

const FORMS: Forms = {
  "shard-metrics": {
    number: 1,
    fieldCount: 3,
    write: ({ shard, documents, memoryBytes }) => [shard, documents, memoryBytes],
    read: ([shard, documents, memoryBytes]) =>
      isName(shard) && isCount(documents) && isCount(memoryBytes)
        ? { type: "shard-metrics", shard, documents, memoryBytes }
        : undefined,
    isResult: isNothing,
  },
  "tick-start": {
    number: 2,
    fieldCount: 2,
    write: ({ phases, phaseTimeoutMs }) => [[...phases], phaseTimeoutMs],
    read: ([phases, phaseTimeoutMs]) =>
      Array.isArray(phases) &&
      whyNoPhases(phases as string[]) === undefined &&
      isPhaseTimeout(phaseTimeoutMs)
        ? { type: "tick-start", phases: phases as string[], phaseTimeoutMs }
        : undefined,
    isResult: isTick,
  },
  "phase-complete": {
    number: 3,
    fieldCount: 3,
    write: ({ shard, phase, tick }) => [shard, phase, tick],
    read: ([shard, phase, tick]) =>
      isName(shard) && isPhase(phase) && isTick(tick)
        ? { type: "phase-complete", shard, phase, tick }
        : undefined,
    isResult: isNothing,
  },
  "publish-frequencies": {
    number: 16,
    fieldCount: 3,
    write: ({ shard, contribution }) => [
      shard,
      contribution.documents,
      encodeTerms(contribution.terms),
    ],
    read: ([shard, documents, text]) => {
      const terms = typeof text === "string" ? decodeParts([text]) : undefined;
      return isName(shard) && isCount(documents) && terms !== undefined
        ? { type: "publish-frequencies", shard, contribution: { documents, terms } }
        : undefined;
    },
    isResult: isPublicationResult,
  },
  "stage-frequencies": {
    number: 17,
    fieldCount: 4,
    write: ({ shard, publication, part, text }) => [shard, publication, part, text],
    read: ([shard, publication, part, text]) =>
      isName(shard) &&
      isTextTo(publication, WRITER_LENGTH_MAX) &&
      isCount(part) &&
      isTextTo(text, STAGED_PART_LENGTH_MAX)
        ? { type: "stage-frequencies", shard, publication, part, text }
        : undefined,
    isResult: isNothing,
  },
  "publish-staged-frequencies": {
    number: 18,
    fieldCount: 4,
    write: ({ shard, publication, parts, documents }) => [shard, publication, parts, documents],
    read: ([shard, publication, parts, documents]) =>
      isName(shard) &&
      isTextTo(publication, WRITER_LENGTH_MAX) &&
      isCount(parts) &&
      isCount(documents)
        ? { type: "publish-staged-frequencies", shard, publication, parts, documents }
        : undefined,
    isResult: isPublicationResult,
  },
  drain: {
    number: 32,
    fieldCount: 2,
    write: ({ region, draining }) => [region, draining],
    read: ([region, draining]) =>
      isName(region) && typeof draining === "boolean"
        ? { type: "drain", region, draining }
        : undefined,
    isResult: isNothing,
  },
};

const FORMS_BY_NUMBER: ReadonlyMap<unknown, Form<PassedCall>> = new Map(
  Object.values(FORMS).map((form) => [form.number, form as unknown as Form<PassedCall>]),
);

/** Whether a call may be passed on at all. */
export function isPassedCall(request: CallRequest): request is PassedCall {
  return Object.hasOwn(FORMS, request.type);
}

export function writeCall(call: PassedCall): Value {
  const form = FORMS[call.type] as unknown as Form<PassedCall>;
  return [form.number, ...form.write(call)];
}

/** Reads a call that came from elsewhere; undefined when it is none of ours, or malformed. */
export function readCall(value: Value): PassedCall | undefined {
  if (!Array.isArray(value)) return undefined;
  const [number, ...fields] = value as readonly Value[];
  const form = FORMS_BY_NUMBER.get(number);
  return form?.fieldCount === fields.length ? form.read(fields) : undefined;
}

/** What a call answers, from what travelled; `ok: false` when that cannot be its answer. */
export function readResult(
  call: PassedCall,
  value: Value,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false } {
  if (!FORMS[call.type].isResult(value)) return { ok: false };
  return { ok: true, value: value === null ? undefined : value };
}

function isName(value: Value | undefined): value is string {
  return typeof value === "string" && NAME_PATTERN.test(value);
}

function isTextTo(value: Value | undefined, lengthMax: number): value is string {
  return typeof value === "string" && value.length <= lengthMax;
}

function isPublicationResult(value: Value): boolean {
  return Array.isArray(value) && value.length === 2 && value.every(isCount);
}

function isNothing(value: Value): boolean {
  return value === null;
}
