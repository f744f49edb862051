/** The end of a rotation, for those who don't renew by themselves: users with certificates. */
import { credentials, status } from "@grpc/grpc-js";
import { machineKeys } from "@muster/controller/src/identity/machine-keys.fixture.ts";
import { AccessServiceClient, CreateUserRequest, Role } from "@muster/proto/gen/muster/v1/access.ts";
import { type Authority, IdentityServiceClient } from "@muster/proto/gen/muster/v1/identity.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call } from "./call.ts";
import { ControllerProcess } from "./controller-process.ts";

let controller: ControllerProcess;
let access: AccessServiceClient;
let identity: IdentityServiceClient;
beforeAll(async () => {
  controller = await ControllerProcess.start();
  access = new AccessServiceClient(controller.operators, credentials.createInsecure());
  identity = new IdentityServiceClient(controller.operators, credentials.createInsecure());
});
afterAll(async () => {
  access?.close();
  identity?.close();
  await controller?.stop();
});

async function createUser(name: string, certificateRequest: Uint8Array): Promise<void> {
  const request = CreateUserRequest.fromPartial({ name, role: Role.VIEWER, ttlMs: 3_600_000, certificateRequest: Buffer.from(certificateRequest), by: "test" });
  await call((answer) => access.createUser(request, answer));
}

const retire = (force: boolean) => call<{ authorities: Authority[] }>((answer) => identity.retireAuthority({ force }, answer));

test("an authority that users have certificates of is retired only when that is meant, and says whose they are", async () => {
  await createUser("anna", (await machineKeys()).certificateRequest);
  await createUser("ben", Buffer.alloc(0));
  // A certificate's times are whole seconds.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await call((answer) => identity.rotateAuthority({}, answer));
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await createUser("cleo", (await machineKeys()).certificateRequest);
  const { authorities } = await call<{ authorities: Authority[] }>((answer) => identity.listAuthorities({}, answer));
  expect(authorities.map(({ users }) => users)).toEqual([["anna"], []]);
  await expect(retire(false)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION, details: expect.stringContaining("certificates of the users anna would be worth nothing") as string });
  expect((await retire(true)).authorities).toHaveLength(1);
});
