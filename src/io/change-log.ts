/**
 * What of a peer's changes goes to its log, and in which words.
 */
import type { Change } from "../core/effect.ts";

/** What is logged to: as pino has it. */
export interface ChangeLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export function logChange(logger: ChangeLogger, change: Change): void {
  if (change.type === "warning") logger.warn({ code: change.code }, change.message);
  else if (change.type === "member") {
    const { name, status, why } = change;
    logger.info({ member: name, status, why }, `"${name}" is ${status}`);
  } else if (change.type === "ready") {
    logger.info({ how: change.how }, `This peer has ${change.how}`);
  }
}
