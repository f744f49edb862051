/**
 * What any gRPC client finds at the controller's address: reflection, the standard health service, and statuses that say what is wrong.
 */
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { type Client, credentials, loadPackageDefinition, makeClientConstructor, type ServiceError, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { service as healthService } from "grpc-health-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ControllerProcess } from "./controller-process.ts";

type UnaryCall = (request: object, callback: (error: ServiceError | null, response: unknown) => void) => void;

let controller: ControllerProcess;
beforeAll(async () => {
  controller = await ControllerProcess.start();
});
afterAll(() => controller.stop());

function unary(client: Client, method: string, request: object): Promise<unknown> {
  const call = (client as unknown as Record<string, UnaryCall>)[method]!.bind(client);
  return new Promise((resolve, reject) => call(request, (error, response) => (error === null ? resolve(response) : reject(error))));
}

describe("reflection", () => {
  test("lists every service, and describes a method's messages", async () => {
    const proto = join(dirname(createRequire(import.meta.url).resolve("@grpc/reflection")), "../proto/grpc/reflection/v1/reflection.proto");
    const loaded = loadPackageDefinition(loadSync(proto)) as unknown as {
      grpc: { reflection: { v1: { ServerReflection: new (address: string, channel: ReturnType<typeof credentials.createInsecure>) => Client } } };
    };
    const client = new loaded.grpc.reflection.v1.ServerReflection(controller.operators, credentials.createInsecure());
    const stream = (client as unknown as { ServerReflectionInfo(): NodeJS.ReadWriteStream }).ServerReflectionInfo();
    const answers: { listServicesResponse?: { service: { name: string }[] }; fileDescriptorResponse?: { fileDescriptorProto: Buffer[] } }[] = [];
    const done = new Promise<void>((resolve, reject) => {
      stream.on("data", (answer: (typeof answers)[number]) => answers.push(answer) === 2 && resolve());
      stream.on("error", reject);
    });
    stream.write({ listServices: "" } as never);
    stream.write({ fileContainingSymbol: "muster.v1.DeploymentsService" } as never);
    await done;
    stream.end();
    client.close();
    expect(answers[0]?.listServicesResponse?.service.map((service) => service.name)).toEqual(
      expect.arrayContaining(["Agent", "Artifacts", "Deployments", "Events", "Fleet"].map((name) => `muster.v1.${name}Service`)),
    );
    expect(Buffer.concat(answers[1]?.fileDescriptorResponse?.fileDescriptorProto ?? []).toString("latin1")).toContain("SubmitRequest");
  });
});

test("the standard health service says that each service serves", async () => {
  const Health = makeClientConstructor(healthService as never, "grpc.health.v1.Health");
  const client = new Health(controller.operators, credentials.createInsecure());
  for (const service of ["", "muster.v1.DeploymentsService", "muster.v1.AgentService"]) {
    expect(await unary(client, "check", { service })).toEqual({ status: "SERVING" });
  }
  await expect(unary(client, "check", { service: "nobody" })).rejects.toMatchObject({ code: status.NOT_FOUND });
  client.close();
});
