import { benchJournal } from "./journal.bench.ts";
for (const { name, value, unit } of await benchJournal(Number(process.argv[2]))) console.log(name.padEnd(40), value.toFixed(1), unit);
process.exit(0);
