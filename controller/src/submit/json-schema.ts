/**
 * The JSON Schema of the deployment file, for editors: generated from schema.ts, so it can say nothing else.
 */
import { z } from "zod";
import { DeploymentFileSchema } from "./schema.ts";

/** Draft 2020-12, as the text of docs/muster.schema.json. */
export function jsonSchemaText(): string {
  return `${JSON.stringify(z.toJSONSchema(DeploymentFileSchema, { io: "input", target: "draft-2020-12" }), null, 2)}\n`;
}
