/**
 * Two suites: the default one needs nothing but Node; `system` starts real processes from `dist/`.
 *
 * `npm test` runs the first, `npm run test:system` the second. HEARSAY_TEST_REPORT names a file for
 * a report in JSON beside the one on the terminal; `.ci/run` counts from it.
 */
import { defineConfig } from "vitest/config";

const report = process.env.HEARSAY_TEST_REPORT;

export default defineConfig({
  test: {
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    projects: [
      {
        test: {
          name: "default",
          environment: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/system/**"],
          pool: "forks", // A failed assertion of the core must not take other files with it.
          testTimeout: 30_000, // A deadline for what hangs, not a measure of speed.
        },
      },
      {
        test: {
          name: "system",
          environment: "node",
          include: ["test/system/**/*.test.ts"],
          pool: "forks",
          fileParallelism: false, // Real processes and network faults: one scenario at a time.
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
