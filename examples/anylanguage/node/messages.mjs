// A payload is one or more JSON arrays of strings, separated by white space:
// ["REQUEST","square","7"]. JSON.parse takes one value only, so the arrays are
// cut apart first.

export function parseMessages(payload) {
  const messages = [];
  let begin = -1, depth = 0, quoted = false;
  for (let i = 0; i < payload.length; i++) {
    const c = payload[i];
    if (quoted) {
      if (c === "\\") i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') {
      quoted = true;
    } else if (c === "[") {
      if (depth++ === 0) begin = i;
    } else if (c === "]" && --depth === 0) {
      messages.push(parseMessage(payload.slice(begin, i + 1)));
    } else if (depth <= 0 && !/\s/.test(c)) {
      throw new Error(`${JSON.stringify(c)} at position ${i} belongs to no array`);
    }
  }
  if (depth !== 0 || quoted) throw new Error("the last array does not end");
  if (messages.length === 0) throw new Error("no message in it");
  return messages;
}

function parseMessage(text) {
  const message = JSON.parse(text);
  if (message.length < 2 || message.some((part) => typeof part !== "string")) {
    throw new Error(`${text} is not [tag, type, arguments…], all of them strings`);
  }
  return message;
}
