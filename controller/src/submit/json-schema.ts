/**
 * The JSON Schema of the deployment file, for editors: generated from schema.ts, so it can say nothing else.
 */
import { z } from "zod";
import { DeploymentFileSchema } from "./schema.ts";

/** Draft 2020-12, as the text of docs/muster.schema.json. */
export function jsonSchemaText(): string {
  const schema = z.toJSONSchema(DeploymentFileSchema, {
    io: "input",
    target: "draft-2020-12",
    // zod takes examples of what is transformed for examples of the output and drops them; here they are all of the input.
    override({ zodSchema, jsonSchema }) {
      const examples = z.globalRegistry.get(zodSchema)?.examples;
      if (Array.isArray(examples)) jsonSchema.examples = examples;
    },
  });
  return `${JSON.stringify(schema, null, 2)}\n`;
}
