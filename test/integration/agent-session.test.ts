/**
 * The agents' side of the controller: one session a machine, nothing believed that is malformed, nothing acknowledged that is not stored.
 */
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { type AgentServiceClient, AppPhase, Hello, Report, type SessionRequest, type SessionResponse, type SyncResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ControllerProcess } from "./controller-process.ts";
import { agentClient, joinAs, makeToken } from "./member.ts";

type Said = NonNullable<SessionRequest["message"]>;

let controller: ControllerProcess;
const clients = new Map<string, AgentServiceClient>();
beforeAll(async () => {
  controller = await ControllerProcess.start();
  const token = await makeToken(controller, { uses: 10 });
  for (const machine of ["m-1", "m-2", "m-3", "m-4", "m-5", "m-6"]) {
    const { current } = await joinAs(controller, token, machine);
    clients.set(machine, agentClient(controller, current));
  }
});
afterAll(async () => {
  for (const client of clients.values()) client.close();
  await controller.stop();
});

/** A session whose answers can be waited for one by one. */
class Session {
  readonly #stream: ClientDuplexStream<SessionRequest, SessionResponse>;
  readonly #answers: AsyncIterator<SessionResponse>;
  /** The status with which the controller refused it. */
  readonly ended: Promise<ServiceError>;

  /** As the machine of the certificate. */
  constructor(machine: string) {
    this.#stream = clients.get(machine)!.session();
    this.ended = new Promise((resolve) => this.#stream.on("error", resolve));
    this.#answers = this.#stream[Symbol.asyncIterator]() as AsyncIterator<SessionResponse>;
  }

  say(message: Said): this {
    this.#stream.write({ message });
    return this;
  }

  /** Undefined: the controller has ended the session. */
  async answer(): Promise<SessionResponse["message"]> {
    const { done, value } = await this.#answers.next();
    return done === true ? undefined : (value as SessionResponse).message;
  }

  end(): void {
    this.#stream.end();
  }
}

const hello = (machine: string, instanceId = "i-1"): Said => ({ $case: "hello", value: Hello.fromPartial({ machine, instanceId }) });
const report = (seq: number, changes: Partial<Report> = {}): Said => ({
  $case: "reports",
  value: { reports: [Report.fromPartial({ seq, app: "shop", phase: AppPhase.PULLING, ...changes })] },
});

test("hello is welcomed with addresses, and reports are acknowledged and remembered", async () => {
  const session = new Session("m-1").say(hello("m-1"));
  const welcome = await session.answer();
  expect(welcome).toMatchObject({ $case: "welcome", value: { generation: 0, acknowledgedSeq: 0 } });
  session.say(report(1)).say(report(2));
  expect(await session.answer()).toEqual({ $case: "reportsAck", value: { seq: 1 } });
  expect(await session.answer()).toEqual({ $case: "reportsAck", value: { seq: 2 } });
  session.say({ $case: "heartbeat", value: { generation: 0, refusal: undefined, newestPendingSeq: 0 } });
  expect(await session.answer()).toEqual({ $case: "heartbeatAck", value: { generation: 0, renew: false, trustRootVersion: 0, returnSpreadMs: expect.any(Number) } });
  session.end();
  const again = new Session("m-1").say(hello("m-1"));
  expect(await again.answer()).toMatchObject({ value: { acknowledgedSeq: 2 } });
  again.end();
});

test("a second agent of the same name is refused while the first lives, and the first goes on", async () => {
  const first = new Session("m-2").say(hello("m-2", "first"));
  await first.answer();
  const second = new Session("m-2").say(hello("m-2", "second"));
  expect(await second.ended).toMatchObject({ code: status.ALREADY_EXISTS });
  first.say(report(1));
  expect(await first.answer()).toMatchObject({ $case: "reportsAck" });
  first.end();
});

test("the same agent's new session takes the place of its old one", async () => {
  const old = new Session("m-3").say(hello("m-3"));
  await old.answer();
  const fresh = new Session("m-3").say(hello("m-3"));
  expect(await fresh.answer()).toMatchObject({ $case: "welcome" });
  expect(await old.answer()).toBeUndefined();
  fresh.say(report(1));
  expect(await fresh.answer()).toMatchObject({ $case: "reportsAck" });
  fresh.end();
});

describe("a session is ended", () => {
  test.each<[string, string, readonly Said[], RegExp]>([
    ["that begins without hello", "m-4", [report(1)], /begins with hello/],
    ["with a second hello", "m-4", [hello("m-4"), hello("m-4")], /second hello/],
    ["with a machine id that is a NATS wildcard", "m-4", [hello(">")], /machine id/],
    ["with a report about no app", "m-5", [hello("m-5"), report(1, { app: "../x" })], /not the name of an app/],
    ["with more reports than a batch may hold", "m-6", [hello("m-6"), { $case: "reports", value: { reports: Array.from({ length: 257 }, (_, index) => Report.fromPartial({ seq: index + 1 })) } }], /at most 256/],
  ])("%s", async (_, machine, said, message) => {
    const session = new Session(machine);
    for (const each of said) session.say(each);
    expect(await session.ended).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringMatching(message) as string });
  });
});

test("a machine without an assignment is told that it has none", async () => {
  const response = await new Promise<SyncResponse>((resolve, reject) => clients.get("m-1")!.sync({ machine: "m-1" }, (error, answer) => (error === null ? resolve(answer) : reject(error))));
  expect(response.envelope).toBeUndefined();
});

test("a machine that speaks for another one is refused, whatever it says of itself", async () => {
  const session = new Session("m-1").say(hello("m-2"));
  expect(await session.ended).toMatchObject({ code: status.PERMISSION_DENIED, details: expect.stringContaining("this machine is m-1 by its certificate") as string });
  const error = await new Promise<ServiceError | null>((resolve) => clients.get("m-1")!.sync({ machine: "m-2" }, (refusal) => resolve(refusal)));
  expect(error).toMatchObject({ code: status.PERMISSION_DENIED });
});
