/**
 * Before each script of the root: sees to it that node_modules/.bin/node is the Node 24 that npm brought, since that folder is first on PATH in every
 * script of every workspace. npm 11 makes this link by itself; npm 10 takes it away again together with the packages of other platforms, which
 * bring a program of the same name. It is no install script, since those are switched off (docs/adr/0004). Runs on whatever Node the machine has,
 * and changes nothing but this link.
 */
import { existsSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../../node_modules/.bin", import.meta.url));
const platform = `${process.platform}-${process.arch}`;
const brought = [`../node-${platform}/bin/node`, `../node-bin-${platform}/bin/node`].find((path) => existsSync(join(bin, path)));

if (brought === undefined) {
  process.stderr.write(`npm brings no Node for ${platform}: Muster runs with the one on your PATH, which must be 24 or newer\n`);
} else if (!existsSync(join(bin, "node"))) {
  rmSync(join(bin, "node"), { force: true });
  symlinkSync(brought, join(bin, "node"));
}
