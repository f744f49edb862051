/**
 * Every test of Muster, in projects that run one after another: what is fast and likeliest to say what broke comes first.
 * Always holds: at most two test files run at a time; those of `e2e`, which are the end-to-end tests that keep a fleet busy, run one at a time.
 */
import { defineConfig } from "vitest/config";

/** Of the end-to-end tests, those that need no core of their own: they ask little of their fleets, or wait most of the time. */
const TWO_AT_A_TIME = ["slow-back", "bad-releases", "away", "strategies", "bad-input-*", "secrets", "release-signatures", "restored", "planted"].map((name) => `test/e2e/${name}.test.ts`);

const SECOND = 1000;
const MINUTE = 60 * SECOND;

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    globalSetup: ["test/setup/nats-server.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["{proto,controller,agent}/**/*.test.ts"],
          testTimeout: 20 * SECOND,
          hookTimeout: 20 * SECOND,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "rules",
          include: ["test/rules/**/*.test.ts"],
          testTimeout: 2 * MINUTE,
          hookTimeout: 2 * MINUTE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/{integration,fakes,sim}/**/*.test.ts"],
          testTimeout: 2 * MINUTE,
          hookTimeout: 2 * MINUTE,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "e2e-pairs",
          include: TWO_AT_A_TIME,
          testTimeout: 15 * MINUTE,
          hookTimeout: 15 * MINUTE,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          exclude: TWO_AT_A_TIME,
          testTimeout: 15 * MINUTE,
          hookTimeout: 15 * MINUTE,
          maxWorkers: 1,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
