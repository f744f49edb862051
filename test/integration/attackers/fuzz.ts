/**
 * Messages that are wrong, the same for the same seed: noise, tags that lead nowhere, lengths beyond the end, and good messages with something changed.
 */
import { Hello, ReportBatch, SessionRequest } from "@muster/proto/gen/muster/v1/agent.ts";
import { SubmitRequest } from "@muster/proto/gen/muster/v1/deployments.ts";
import { JoinRequest, RenewRequest } from "@muster/proto/gen/muster/v1/identity.ts";
import type { Random } from "../../sim/random.ts";

const TAG_MAX = 24;
const NOISE_BYTES_MAX = 200;
const FIELDS_MAX = 12;
const DEPTH_MAX = 4;

const keys = { certificateRequest: Buffer.alloc(120, 48), natsKey: `U${"A".repeat(55)}`, sealingKey: Buffer.alloc(32, 1) };
const GOOD: readonly Uint8Array[] = [
  SessionRequest.encode({ message: { $case: "hello", value: Hello.fromPartial({ machine: "m-1", instanceId: "i", generation: 7 }) } }).finish(),
  SessionRequest.encode({ message: { $case: "reports", value: ReportBatch.fromPartial({ reports: [{ seq: 1 }] }) } }).finish(),
  JoinRequest.encode(JoinRequest.fromPartial({ tokenId: "abc", secret: "s".repeat(43), machine: "m-1", keys, labels: { a: "b" }, hostname: "h" })).finish(),
  RenewRequest.encode({ keys }).finish(),
  SubmitRequest.encode(SubmitRequest.fromPartial({ content: Buffer.from("app: a\nversion: \"1\"\nrun: { driver: files }\n"), artifact: "0".repeat(64) })).finish(),
];

export function wrongMessage(random: Random): Uint8Array {
  return random.weighted<() => Uint8Array>([
    [1, () => noise(random, random.whole(0, NOISE_BYTES_MAX))],
    [3, () => fields(random, 0)],
    [2, () => changed(random, random.pick(GOOD))],
  ])();
}

function noise(random: Random, length: number): Uint8Array {
  return Buffer.from(Array.from({ length }, () => random.whole(0, 255)));
}

function fields(random: Random, depth: number): Uint8Array {
  return Buffer.concat(Array.from({ length: random.whole(0, FIELDS_MAX) }, () => field(random, depth)));
}

function field(random: Random, depth: number): Uint8Array {
  const wireType = random.whole(0, 7);
  const tag = varint((random.whole(0, TAG_MAX) << 3) | wireType);
  switch (wireType) {
    case 0:
      return Buffer.concat([tag, noise(random, random.whole(0, 11)).map((byte) => byte | 0x80), [random.whole(0, 255)]].map((part) => Buffer.from(part)));
    case 1:
      return Buffer.concat([tag, noise(random, random.whole(0, 8))]);
    case 2: {
      const inner = depth < DEPTH_MAX && random.chance(0.5) ? fields(random, depth + 1) : noise(random, random.whole(0, 40));
      const length = random.chance(0.8) ? inner.byteLength : random.pick([0, inner.byteLength + 1, 0x7fffffff, 0xffffffff]);
      return Buffer.concat([tag, varint(length), inner]);
    }
    default:
      return Buffer.concat([tag, noise(random, random.whole(0, 8))]);
  }
}

function changed(random: Random, good: Uint8Array): Uint8Array {
  const bytes = Buffer.from(good);
  for (let change = random.whole(1, 4); change > 0; change -= 1) bytes[random.whole(0, bytes.length - 1)] = random.whole(0, 255);
  return random.chance(0.3) ? bytes.subarray(0, random.whole(0, bytes.length)) : bytes;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) | 0x80);
  }
}
