/**
 * A process of the benches' own that runs one module, is asked over IPC, and answers each question.
 *
 * The module calls `answerParent`. It runs as this process does, TypeScript and flags included, and it
 * ends with this process, whatever becomes of it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export class Child {
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown>;

  /** `execArgv` are flags of Node: those of this process unless they are given. */
  constructor(module: URL, args: readonly string[] = [], execArgv = process.execArgv) {
    // Advanced: bytes stay bytes on the way.
    const options = { serialization: "advanced", execArgv } as const;
    this.#process = fork(fileURLToPath(module), args, options);
    this.#exit = once(this.#process, "exit");
  }

  /** Asks, and resolves to the answer. One question at a time. Rejects when the process has ended. */
  async ask(question: object): Promise<unknown> {
    const answered = once(this.#process, "message");
    const failed = this.#exit.then(() => {
      throw new Error("A process of this bench has ended before it answered");
    });
    this.#process.send(question);
    const [answer] = await Promise.race([answered, failed]);
    return answer;
  }

  /** Sends a signal to the process. */
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.#process.kill(signal);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Sends a signal, and waits for the end. */
  async kill(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.#process.kill(signal);
    await this.#exit;
  }

  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#exit;
  }
}

/** Answers every question of the parent; in a process that is nobody's child it does nothing. */
export function answerParent<Question>(answer: (question: Question) => Promise<unknown>): void {
  if (process.send === undefined) return;
  process.on("disconnect", () => process.exit());
  process.on("message", (question: Question) => {
    void answer(question).then((value) => process.send?.(value ?? null));
  });
}
