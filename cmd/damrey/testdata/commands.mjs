// Prints every line that the page can make: node commands.mjs COMMANDS.JS < {"page", "fabric", "dos"}. It fails when the
// module offers something that is not asked here.
import { readFileSync } from 'node:fs'

const { page, fabric, dos } = JSON.parse(readFileSync(0, 'utf8'))
globalThis.location = new URL(page)
const { quote, addressed, workerCommands, routeCommands, traceCommands, ...others } = await import(process.argv[2])
if (Object.keys(others).length > 0) throw new Error(`nobody looks at ${Object.keys(others)}`)
const route = { from: 'a', type: 't', to: 'b', durable: true }
console.log(JSON.stringify([
  ...workerCommands('b', fabric, { durable: true }), ...workerCommands('-b', fabric),
  ...routeCommands(route, fabric), ...routeCommands({ ...route, type: '*' }, fabric), ...routeCommands({ ...route, type: '-t' }, fabric),
  ...traceCommands('0af7651916cd43dd8448eb211c80319c', fabric),
  ...dos.map((line) => addressed(line, fabric)), `true ${quote("it's")}`,
]))
