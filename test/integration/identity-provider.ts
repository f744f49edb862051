/**
 * A real OpenID provider on loopback, and somebody with a browser who logs in there. Beside the provider stands a forger, who makes any token they like with
 * keys of their own.
 */
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";

export const CLIENT = "muster";
const KEY_ID = "the-key";

export class IdentityProvider {
  readonly issuer: string;
  readonly #server: Server;
  readonly #key: KeyObject;

  private constructor(server: Server, groups: readonly string[]) {
    this.#server = server;
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const provider = new Provider(this.issuer, {
      clients: [
        {
          client_id: CLIENT,
          token_endpoint_auth_method: "none",
          grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
          response_types: [],
          redirect_uris: [],
        },
      ],
      jwks: { keys: [{ ...this.#key.export({ format: "jwk" }), kid: KEY_ID, alg: "RS256", use: "sig" }] },
      features: { deviceFlow: { enabled: true } },
      claims: { openid: ["sub", "groups"], email: ["email", "email_verified"] },
      conformIdTokenClaims: false,
      cookies: { keys: ["a test's own"] },
      findAccount: (_context: unknown, sub: string) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@shop.example`, email_verified: true, groups }) }),
    });
    server.on("request", provider.callback());
  }

  static async start(groups: readonly string[]): Promise<IdentityProvider> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new IdentityProvider(server, groups);
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** A token as the provider itself signs it. */
  signed(claims: object): string {
    return rs256({ alg: "RS256", kid: KEY_ID }, claims, this.#key);
  }

  /** One that nobody has signed. */
  unsigned(claims: object): string {
    return `${encoded({ alg: "none" })}.${encoded(claims)}.`;
  }

  /** One that another key has signed, in the name of the provider's. */
  forged(claims: object): string {
    return rs256({ alg: "RS256", kid: KEY_ID }, claims, generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey);
  }

  /** One "signed" with the provider's public key as if that were a shared secret. */
  confused(claims: object): string {
    const head = `${encoded({ alg: "HS256", kid: KEY_ID })}.${encoded(claims)}`;
    const secret = createPublicKey(this.#key).export({ type: "spki", format: "pem" });
    return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
  }
}

function rs256(header: object, claims: object, key: KeyObject): string {
  const head = `${encoded(header)}.${encoded(claims)}`;
  return `${head}.${sign("sha256", Buffer.from(head), key).toString("base64url")}`;
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

/** Opens the page, and fills in and sends each form that comes, until there is none; returns the last page. */
export async function browse(url: string, name: string): Promise<string> {
  const cookies = new Map<string, string>();
  let page = await visit(url, cookies);
  for (let form = formOf(page.text); form !== undefined; form = formOf(page.text)) {
    const body = new URLSearchParams({ ...form.fields, ...("login" in form.fields ? { login: name, password: "any" } : {}) });
    page = await visit(new URL(form.action === "" ? page.url : form.action, page.url).href, cookies, body);
  }
  return page.text;
}

async function visit(from: string, cookies: Map<string, string>, body?: URLSearchParams): Promise<{ readonly url: string; readonly text: string }> {
  let url = from;
  let sent = body;
  for (;;) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: { cookie }, ...(sent === undefined ? {} : { method: "POST", body: sent }) });
    for (const line of response.headers.getSetCookie()) {
      const [, key = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(key, value);
    }
    const next = response.headers.get("location");
    if (next === null) return { url, text: await response.text() };
    await response.arrayBuffer();
    url = new URL(next, url).href;
    sent = undefined;
  }
}

function formOf(page: string): { readonly action: string; readonly fields: Readonly<Record<string, string>> } | undefined {
  const [, attributes, inside = ""] = /<form([^>]*)>([^]*?)<\/form>/.exec(page) ?? [];
  if (attributes === undefined) return undefined;
  const attribute = (tag: string, name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? "";
  const fields = [...inside.matchAll(/<input[^>]*>/g)].map(([tag]) => [attribute(tag, "name"), attribute(tag, "value")] as const).filter(([name]) => name !== "" && name !== "abort");
  return { action: attribute(attributes, "action"), fields: Object.fromEntries(fields) };
}
