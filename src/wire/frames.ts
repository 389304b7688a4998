/**
 * Cuts a list of messages into frames of a good size [G1].
 *
 * What bytes a message takes is known once it is encoded, and then it is too late: a frame that is too
 * large closes its link. So sizes are bounded from above, with three bytes for each UTF-16 code unit.
 */
import { FRAME_BYTES_TARGET, FRAME_MESSAGES_MAX, REFUSAL_LENGTH_MAX } from "../core/limits.ts";
import type { Answer, Ask, MapEntries, Message, ResponseMessage } from "../core/message.ts";
import { entryBytes, splitEntries, valueBytes } from "../core/replica.ts";
import { encodeFrame } from "./codec.ts";

/** Encodes `messages` in order, in as few frames as are not too large. */
export function encodeFrames(messages: readonly Message[]): Uint8Array[] {
  const [first] = messages;
  // Heartbeats and the like, most of what an idle peer says.
  if (first !== undefined && messages.length === 1 && !("maps" in first)) {
    return [encodeFrame(messages)];
  }
  const frames: Uint8Array[] = [];
  let frame: Message[] = [];
  let bytes = 0;
  for (const message of splitMessages(messages)) {
    const messageBytes = bytesOf(message);
    const isFull = bytes + messageBytes > FRAME_BYTES_TARGET || frame.length === FRAME_MESSAGES_MAX;
    if (isFull && frame.length > 0) {
      frames.push(encodeFrame(frame));
      frame = [];
      bytes = 0;
    }
    frame.push(message);
    bytes += messageBytes;
  }
  if (frame.length > 0) frames.push(encodeFrame(frame));
  return frames;
}

function splitMessages(messages: readonly Message[]): readonly Message[] {
  const isFit = (message: Message): boolean =>
    !("maps" in message) || bytesOf(message) <= FRAME_BYTES_TARGET;
  return messages.every(isFit) ? messages : messages.flatMap(splitMessage);
}

/** Entries that do not depend on each other may travel apart; all else is small, or cut in core. */
function splitMessage(message: Message): Message | Message[] {
  if (message.type !== "delta" && message.type !== "repair") return message;
  if (bytesOf(message) <= FRAME_BYTES_TARGET) return message;
  const parts = splitEntries(message.maps, FRAME_BYTES_TARGET);
  return parts.map((maps) => ({ ...message, maps }));
}

function bytesOf(message: Message): number {
  if ("maps" in message) return bytesOfMaps(message.maps);
  if (message.type === "symbols") return 32 + message.cells.length;
  if (message.type === "want") return 32 + message.ids.length;
  if (message.type === "request") return 64 + valueBytes(message.call);
  if (message.type === "response") return 64 + outcomeBytes(message.outcome);
  if (message.type === "ask") return bytesOfAsk(message);
  if (message.type === "chunk") return 256 + message.chunk.length;
  if (message.type === "post") return 64 + 3 * message.service.length + message.body.length;
  if (message.type === "answer") return bytesOfAnswer(message.outcome);
  if ("shard" in message) return 64 + 3 * message.shard.length;
  return message.type === "probe" ? 512 : 64;
}

function outcomeBytes(outcome: ResponseMessage["outcome"]): number {
  return outcome.ok ? valueBytes(outcome.value) : 3 * REFUSAL_LENGTH_MAX;
}

function bytesOfAsk({ shard, entity, writer, body }: Ask): number {
  return 64 + 3 * (shard.length + entity.length + writer.length) + body.length;
}

function bytesOfAnswer(outcome: Answer["outcome"]): number {
  return outcome.how === "done" ? 64 + outcome.body.length : 64 + 3 * outcome.message.length;
}

function bytesOfMaps(maps: readonly MapEntries[]): number {
  let bytes = 16;
  for (const { map, entries } of maps) {
    bytes += 3 * map.length + 16;
    for (const entry of entries) bytes += entryBytes(entry);
  }
  return bytes;
}
