/**
 * Somebody who is let in, asks for all there is, and doesn't read it. They hold the memory of a few messages, and nobody waits for them.
 */
import { connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { Hello, type SessionRequest } from "@muster/proto/gen/muster/v1/agent.ts";
import { ReadEventsRequest } from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceClient } from "@muster/proto/gen/muster/v1/fleet.ts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { call, collect } from "../call.ts";
import { ControllerProcess } from "../controller-process.ts";
import { agentClient, joinAs, makeToken } from "../member.ts";

const HELD_BYTES_MAX = 128 * 1024 * 1024;
const HEARTBEATS = 300_000;

let controller: ControllerProcess;
const opened: { destroy(): void }[] = [];
beforeAll(async () => {
  controller = await ControllerProcess.start();
});
afterEach(() => opened.splice(0).forEach((each) => each.destroy()));
afterAll(() => controller.stop());

test("an operator who follows the journal a hundred times", async () => {
  const fleet = new FleetServiceClient(controller.operators, credentials.createInsecure());
  const before = controller.rssBytes();
  const path = controller.operators.slice("unix:".length);
  const session = connectHttp2("http://localhost", { createConnection: () => connect({ path }), settings: { initialWindowSize: 0 } });
  opened.push(session);
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  const request = Buffer.from(ReadEventsRequest.encode(ReadEventsRequest.fromPartial({ follow: true })).finish());
  const streams = Array.from({ length: 100 }, () => {
    const stream = session.request({ [constants.HTTP2_HEADER_METHOD]: "POST", [constants.HTTP2_HEADER_PATH]: "/muster.v1.EventsService/ReadEvents", "content-type": "application/grpc", te: "trailers" });
    stream.on("error", () => undefined);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(request.byteLength, 1);
    stream.end(Buffer.concat([head, request]));
    return stream;
  });
  for (let count = 0; count < 500; count += 1) await call((answer) => fleet.setBudget({ selector: `role=r${count}`, maxUnavailable: 1, by: "x".repeat(100) }, answer));
  expect(streams.every(({ destroyed }) => !destroyed)).toBe(true);
  expect(controller.rssBytes() - before).toBeLessThan(HELD_BYTES_MAX);
  expect(await collect(fleet.listMachines({ selector: "", withoutApps: false }))).toEqual([]);
  fleet.close();
});

test("a machine that asks for answers without end is not read any more than it reads", async () => {
  const { current } = await joinAs(controller, await makeToken(controller), "greedy");
  const client = agentClient(controller, current);
  const session = client.session();
  session.on("error", () => undefined);
  opened.push({ destroy: () => (session.cancel(), client.close()) });
  const before = controller.rssBytes();
  session.write({ message: { $case: "hello", value: Hello.fromPartial({ machine: "greedy", instanceId: "i-1" }) } });
  const heartbeat: SessionRequest = { message: { $case: "heartbeat", value: { generation: 0, refusal: undefined, newestPendingSeq: 0 } } };
  let taken = 0;
  while (taken < HEARTBEATS && (await isTaken(() => session.write(heartbeat), session))) taken += 1;
  expect(taken).toBeLessThan(HEARTBEATS);
  expect(controller.rssBytes() - before).toBeLessThan(HELD_BYTES_MAX);
  const { current: other } = await joinAs(controller, await makeToken(controller), "other");
  const otherClient = agentClient(controller, other);
  await call((answer) => otherClient.sync({ machine: "other" }, answer));
  otherClient.close();
});

/** False: it has been made to wait for longer than anybody would who is read. */
async function isTaken(write: () => boolean, session: NodeJS.EventEmitter): Promise<boolean> {
  if (write()) return true;
  const drained = new Promise<true>((resolve) => session.once("drain", () => resolve(true)));
  return Promise.race([drained, sleep(3_000).then(() => false as const)]);
}
