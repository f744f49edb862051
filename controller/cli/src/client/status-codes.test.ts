import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { endingOf } from "./status-codes.ts";

const EXITS: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: 2,
  FAILED_PRECONDITION: 2,
  ALREADY_EXISTS: 2,
  OUT_OF_RANGE: 2,
  UNAVAILABLE: 3,
  DEADLINE_EXCEEDED: 3,
  NOT_FOUND: 4,
};

const NAMES = Object.keys(status).filter((name) => Number.isNaN(Number(name)) && name !== "OK");

test.each(NAMES)("%s has the promised exit code", (name) => {
  expect(endingOf(status[name as keyof typeof status]).exit).toBe(EXITS[name] ?? 1);
});
