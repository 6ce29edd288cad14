// The worker in the middle, in Node: it adds, and sends the sum on as a
// "square". Where that goes is in the routing table.
//
//   node add.mjs [NAME]

import { work } from "./worker.mjs";

await work(process.argv[2] ?? "add", ([, ...numbers]) => {
  let sum = 0n;
  for (const number of numbers) {
    if (!/^-?\d+$/.test(number)) throw new Error(`${JSON.stringify(number)} is not a whole number`);
    sum += BigInt(number);
  }
  return ["REQUEST", "square", String(sum)];
});
