/** Every method of every service has its need, so that a new one is nobody's until somebody has thought about it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { expect, test } from "vitest";
import { changes, needOf } from "./methods.ts";

const descriptors = loadFileDescriptorSetFromBuffer(readFileSync(fileURLToPath(import.meta.resolve("@muster/proto/descriptor"))));
const paths = Object.entries(descriptors).flatMap(([service, definition]) =>
  service.endsWith("Service") ? Object.values(definition as Readonly<Record<string, { readonly path: string }>>).map(({ path }) => path) : [],
);

test("each method that the protocol has is somebody's", () => {
  expect(paths.length).toBeGreaterThan(40);
  expect(paths.filter((path) => needOf(path) === undefined)).toEqual([]);
});

test("what there is not is nobody's, however it is written", () => {
  for (const path of ["", "/", "/muster.v1.FleetService/", "/muster.v1.FleetService/listMachines", "/muster.v1.FleetService/Invented", "/constructor/x", "/__proto__/x"]) {
    expect(needOf(path), path).toBeUndefined();
  }
});

test("everybody may ask for very little", () => {
  expect(paths.filter((path) => needOf(path) === "anybody")).toEqual(["/muster.v1.AccessService/GetLoginMethods", "/muster.v1.JoinService/Join"]);
});

test("viewers change nothing, and everything that changes something is recorded", () => {
  expect(paths.filter((path) => needOf(path) === "viewer" && changes(path))).toEqual([]);
  const quiet = paths.filter((path) => !changes(path) && needOf(path) !== "viewer" && needOf(path) !== "machine");
  expect(quiet.map((path) => path.split("/")[2])).toEqual(["GetLoginMethods", "ListUsers", "ReadAudit", "HasArtifact", "ListTokens"]);
});
