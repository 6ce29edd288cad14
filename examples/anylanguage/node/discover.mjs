// What runs in a fabric, as the stock NATS client for services sees it: one JSON array on stdout.
//
//   node discover.mjs [WORKER]

import { connect } from "@nats-io/transport-node";
import { Svcm } from "@nats-io/services";

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", name: "discover" });
const client = new Svcm(nc).client({ strategy: "stall", stall: 500, maxWait: 3000 });
const name = process.argv[2];
const [found, infos, stats] = await Promise.all(
  ["ping", "info", "stats"].map(async (verb) => collect(await client[verb](name))),
);
const of = (answers, id) => answers.find((answer) => answer.id === id) ?? null;
console.log(JSON.stringify(found.map((ping) => ({ ping, info: of(infos, ping.id), stats: of(stats, ping.id) }))));
await nc.close();

async function collect(answers) {
  const all = [];
  for await (const answer of answers) all.push(answer);
  return all;
}
