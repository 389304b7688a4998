/**
 * Makes a folder and those above it, where they are missing.
 *
 * The recursive `mkdir` of Node 20 never ends, and takes a processor, below a folder in which nothing can be
 * made and that says so by `ENOENT`, as `/proc` does. This one tries each folder once more and no further.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/** Resolves when `path` is there, whoever made it. Rejects as `mkdir` does. `mode` is for all that it makes. */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, mode);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return; // A file of that name is found out by who opens something in it.
    const above = dirname(path);
    if (code !== "ENOENT" || above === path) throw error;
    await makeFolder(above, mode);
    await mkdir(path, mode).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== "EEXIST") throw again;
    });
  }
}
