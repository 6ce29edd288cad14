// The last worker of the line, in Node: it answers with the square of a number.
//
//   node square.mjs [NAME]

import { work } from "./worker.mjs";

await work(process.argv[2] ?? "square", ([type, number]) => {
  if (!/^-?\d+$/.test(number)) throw new Error(`${JSON.stringify(number ?? "")} is not a whole number`);
  return ["RESPONSE", type, String(BigInt(number) ** 2n)];
});
