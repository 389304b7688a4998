/**
 * What the form of a message consists of: see `message-formats.ts`.
 */
import type { Message } from "../core/message.ts";
import type { StampReader, StampWriter } from "./entries.ts";

/** The form of one type of message on the wire. */
export interface Format<M extends Message> {
  /** What it begins with on the wire. Never given to another type; 0 is the table of stamps. */
  readonly number: number;
  readonly fieldCount: number;
  /** How many of them, at the end, are not there where they would say nothing. */
  readonly optionalCount?: number;
  readonly write: (message: M, stamps: StampWriter) => readonly unknown[];
  readonly read: (fields: readonly unknown[], stamps: StampReader) => M | undefined;
}

/** The messages of one type, or of several that share a form. */
export type MessageOf<T extends Message["type"]> = Extract<Message, { readonly type: T }>;
