import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { makeFolder } from "../../src/io/make-folder.ts";

const directory = await mkdtemp(join(tmpdir(), "hearsay-folder-"));
afterAll(() => rm(directory, { recursive: true }));

test("a folder is made with those above it, once or several times at once", async () => {
  const path = join(directory, "a", "b", "c");
  await Promise.all([makeFolder(path, 0o700), makeFolder(path, 0o700), makeFolder(path, 0o700)]);
  await makeFolder(path);
  for (const each of [path, join(path, ".."), join(path, "..", "..")]) {
    const found = await stat(each);
    expect(found.isDirectory()).toBe(true);
    expect(found.mode & 0o777).toBe(0o700);
  }
});

test("below a file there is no folder", async () => {
  const file = join(directory, "file");
  await writeFile(file, "");
  await expect(makeFolder(join(file, "a", "b"))).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.runIf(process.platform === "linux")(
  "a folder that nothing can be made in ends it, however it says so",
  async () => {
    await expect(makeFolder("/proc/nothing/can/be/made")).rejects.toMatchObject({ code: "ENOENT" });
  },
);
