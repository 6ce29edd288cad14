// A Damrey worker over plain NATS: what any language with a NATS client does.

import { connect } from "@nats-io/transport-node";
import { parseMessages } from "./messages.mjs";

const prefix = "damrey";

// work takes the messages of the worker `name` until SIGINT or SIGTERM.
// `handle` gets the arguments of a REQUEST after its tag, [type, arg0, …], and
// returns a message: a RESPONSE or ERROR is the answer, a REQUEST goes on
// along this worker's routes. What it throws is an ERROR.
export async function work(name, handle) {
  const nc = await connect({
    servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
    name,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
  });
  // All processes of one worker share its load: they are one queue group.
  nc.subscribe(`${prefix}.msg.${name}.*.*`, {
    queue: name,
    callback: (err, msg) => {
      if (!err) return take(nc, name, handle, msg);
      console.error(`${name} may not subscribe, so nothing would ever come: ${err.message}`);
      process.exitCode = 1;
      nc.close();
    },
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => nc.drain());
  await nc.flush();
  console.log("ready");
  const failed = await nc.closed();
  if (failed) throw failed;
}

function take(nc, name, handle, msg) {
  let messages;
  try {
    messages = parseMessages(msg.string());
  } catch (err) {
    console.error(`${msg.subject}: malformed: ${err.message}`);
    answer(msg, ["ERROR", typeOf(msg), err.message, "damrey:malformed", msg.subject]);
    return;
  }
  for (const [, ...message] of messages) deliver(nc, name, handle, msg, message);
}

async function deliver(nc, name, handle, msg, message) {
  let output;
  try {
    output = await handle(message);
  } catch (err) {
    output = ["ERROR", message[0], err.message];
  }
  if (output?.[0] === "REQUEST") {
    // The bridge of the agent or proxy routes it. With the reply subject that
    // came, the next worker's answer goes to the one who asked first.
    nc.publish(`${prefix}.out.${name}.${output[1]}`, JSON.stringify(output), { reply: msg.reply });
    return;
  }
  answer(msg, output ?? ["RESPONSE", message[0]]);
}

// answer writes to the one who asked. A send has no reply subject, or one of
// kind ~s on which only NATS itself may say that nobody was there.
function answer(msg, output) {
  if (msg.reply && !/\.~s[0-9a-z]+\./.test(msg.reply)) msg.respond(JSON.stringify(output));
}

const typeOf = (msg) => msg.subject.split(".")[3];
