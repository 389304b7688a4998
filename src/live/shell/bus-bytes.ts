/**
 * Messages of live queries as the bytes in which buses carry them.
 */
import type { PeerName } from "../../core/units.ts";
import { type Body, decodeBody, encodeBody } from "../../wire/body.ts";
import type { BusListener } from "../bus.ts";
import { type Answer, type Control, readMessage, wordsOf } from "../message.ts";

/** The bytes of some messages; undefined when they are longer than a message between peers may be. */
export function encodeMessages(messages: readonly (Control | Answer)[]): Uint8Array | undefined {
  const encoded = encodeBody(messages.map(wordsOf));
  return "bytes" in encoded ? encoded.bytes : undefined;
}

/** Tells a listener what a peer's bytes say. Whatever they are, it hears of messages or of nothing. */
export function tellMessages(listener: BusListener, from: PeerName, bytes: Uint8Array): void {
  const words = decodeBody(bytes)?.body;
  const controls: Control[] = [];
  const answers: Answer[] = [];
  for (const each of Array.isArray(words) ? (words as readonly Body[]) : []) {
    const message = readMessage(each);
    if (message === undefined) continue; // Of a version that says more: it will not be answered.
    if ("query" in message || message.type === "unsubscribe") controls.push(message);
    else answers.push(message);
  }
  if (controls.length > 0) listener.controls(from, controls);
  if (answers.length > 0) listener.deltas(from, answers);
}
