import { Metadata } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { remark, subjectOf } from "./subject.ts";

test("tells the fields that say what it was about, and no other", () => {
  const request = { id: "d-7", wave: 2, reason: "secret reason", secret: "hunter2", token: "mst1.x", value: "hunter2", content: Buffer.from("hunter2"), certificateRequest: Buffer.from("x") };
  expect(subjectOf(new Metadata(), request)).toBe("id=d-7 wave=2");
});

test("leaves out what is said by saying nothing, and cuts what is long", () => {
  expect(subjectOf(new Metadata(), { id: "", wave: 0, all: false, drain: true, machine: "m".repeat(300) })).toBe(`machine=${"m".repeat(100)} drain=true`);
  for (const request of [undefined, null, "text", 7]) expect(subjectOf(new Metadata(), request)).toBe("");
});

test("a handler that knows better is believed", () => {
  const metadata = new Metadata();
  remark({ metadata }, { app: "shop-web", version: "1.4.2", selector: "" });
  expect(subjectOf(metadata, { id: "d-7" })).toBe("app=shop-web version=1.4.2");
});
