/**
 * Secrets in a file: one a line, the most wanted first, read anew when the file has changed. Keys and
 * certificates are read in the same way, though others may read the latter.
 *
 * A file that others on the machine can read keeps no secret, so it is refused. One that cannot be read
 * at the moment, because it is being replaced, leaves what was read before in force; the caller decides
 * that (`peer.ts`), since only at the start is there nothing before.
 */
import { readFileSync, statSync } from "node:fs";

/** Permissions of anyone but the owner. */
const OTHERS_MASK = 0o077;

/** Size of a file of secrets, tokens or certificates, in bytes. */
const SECRET_FILE_BYTES_MAX = 65_536;

/** A file that is its owner's alone, unless it is said to be open to others. */
export class SecretFile {
  readonly path: string;
  readonly #isSecret: boolean;
  #text = "";
  #lines: readonly string[] = [];
  /** What the file looked like when it was read. */
  #seen = "";

  constructor(path: string, audience: "owner" | "open" = "owner") {
    this.path = path;
    this.#isSecret = audience === "owner";
  }

  /** What it holds now. Throws a TypeError when it cannot be read, or not by its owner alone. */
  text(): string {
    this.#read();
    return this.#text;
  }

  /** Its lines, blank ones and those that begin with # left out: the same list until it changes. */
  lines(): readonly string[] {
    this.#read();
    return this.#lines;
  }

  #read(): void {
    const stats = this.#try(() => statSync(this.path));
    const { mtimeMs, ino, size, mode } = stats;
    if (!stats.isFile()) throw new TypeError(`Cannot read ${this.path}: it is no file`);
    if (size > SECRET_FILE_BYTES_MAX)
      throw new TypeError(`Cannot read ${this.path}: it is too large`);
    if (this.#isSecret && process.platform !== "win32" && (mode & OTHERS_MASK) !== 0) {
      throw new TypeError(`Cannot use ${this.path}: others may read it; "chmod 600" changes that`);
    }
    const looks = `${mtimeMs} ${ino} ${size}`;
    if (looks !== this.#seen) {
      this.#text = this.#try(() => readFileSync(this.path, "utf8"));
      this.#lines = this.#text
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "" && !line.startsWith("#"));
      this.#seen = looks;
    }
  }

  #try<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? "it failed";
      throw new TypeError(`Cannot read ${this.path}: ${why}`, { cause: error });
    }
  }
}
