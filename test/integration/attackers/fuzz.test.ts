/**
 * 100,000 messages that are none, from nobody, from a machine and from an operator: the controller answers each with a status, and is none the worse for them.
 */
import { credentials, status } from "@grpc/grpc-js";
import { channelOf, channelTo } from "@muster/agent/identity/channel.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../../sim/random.ts";
import { ControllerProcess } from "../controller-process.ts";
import { joinAs, makeToken } from "../member.ts";
import { wrongMessage } from "./fuzz.ts";
import { type Ended, everyMethod, type Method, Wire } from "./wire.ts";

const INPUTS = 100_000;
const AT_ONCE = 100;
/** Where no message at all is a good one, and does what an admin may do: it would end the test, and prove nothing. */
const MEANT: readonly string[] = ["RotateAuthority", "RetireAuthority", "Backup"];
/** Of a message that can't be read; the rest of what a call may end with is told by handlers. */
const UNREADABLE = /^Error deserializing request/;

let controller: ControllerProcess;
beforeAll(async () => {
  controller = await ControllerProcess.start({ logLevel: "trace" });
});
afterAll(() => controller.stop());

async function attack(wires: readonly Wire[], methods: readonly Method[], inputs: number, random: Random): Promise<ReadonlyMap<string, number>> {
  const seen = new Map<string, number>();
  let left = inputs;
  const keepSending = async (wire: Wire): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const ended = kindOf(await wire.call(random.pick(methods), wrongMessage(random)));
      seen.set(ended, (seen.get(ended) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => keepSending(wires[index % wires.length]!)));
  return seen;
}

function kindOf({ code, details }: Ended): string {
  if (code !== status.INTERNAL) return status[code];
  return UNREADABLE.test(details) ? "unreadable" : `INTERNAL ${details}`;
}

const GOOD_ENDS = ["OK", "unreadable", "UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED", "CANCELLED"];

test("none is anything but refused", { timeout: 600_000 }, async () => {
  const seed = 20_260_401;
  const { current } = await joinAs(controller, await makeToken(controller), "fuzzy");
  const methods = everyMethod().filter(({ path }) => !MEANT.some((name) => path.endsWith(`/${name}`)));
  const { options } = channelTo(current.authorities.at(-1)!);
  const nobody = (): Wire => new Wire(controller.grpc, credentials.createSsl(Buffer.from(current.authorities.join(""))), options);
  const machine = (): Wire => {
    const channel = channelOf(current);
    return new Wire(controller.grpc, channel.credentials, channel.options);
  };
  const operator = (): Wire => new Wire(controller.operators, credentials.createInsecure());

  const wires = [nobody(), nobody(), machine(), machine(), operator(), operator()];
  const ends = await Promise.all([
    attack(wires.slice(0, 2), methods.filter(({ path }) => !path.endsWith("/GetLoginMethods")), INPUTS * 0.2, new Random(seed, "nobody")),
    attack(wires.slice(2, 4), methods.filter(({ path }) => /AgentService|JoinService/.test(path)), INPUTS * 0.4, new Random(seed, "machine")),
    attack(wires.slice(4), methods, INPUTS * 0.4, new Random(seed, "operator")),
  ]);
  for (const wire of wires) wire.close();

  expect(ends.reduce((sum, seen) => sum + [...seen.values()].reduce((a, b) => a + b, 0), 0)).toBe(INPUTS);
  expect(ends[0].get("OK")).toBeUndefined();
  for (const seen of ends) expect([...seen.keys()].filter((end) => !GOOD_ENDS.includes(end))).toEqual([]);
  expect(controller.isAlive).toBe(true);
  expect(controller.log().split("\n").filter((line) => /"level":(50|60)/.test(line))).toEqual([]);
  expect(await joinAs(controller, await makeToken(controller), "after")).toMatchObject({ machine: "after" });
});
