/** Calls of generated clients, for tests: the answer as a promise, or the refusal in its words. */
import { type CallOptions, Metadata, type ServiceError, status } from "@grpc/grpc-js";

type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

export class Asker {
  /** `method` belongs to `client`. */
  ask<Request, Response>(client: object, method: Method<Request, Response>, request: Request, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return new Promise((resolve, reject) => {
      method.call(client, request, metadataOf(headers), {}, (error, response) => (error === null ? resolve(response) : reject(error)));
    });
  }

  /** The name of the status and the words of the refusal. */
  async refused<Request, Response>(client: object, method: Method<Request, Response>, request: Request, headers: Readonly<Record<string, string>> = {}): Promise<readonly [string | undefined, string]> {
    try {
      await this.ask(client, method, request, headers);
    } catch (error) {
      const { code, details } = error as ServiceError;
      return [status[code], details];
    }
    throw new Error("it was granted");
  }
}

export function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
