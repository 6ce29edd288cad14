// The exact lines that show the same in a terminal. A name that came from elsewhere is quoted for the shell.
const plain = /^[A-Za-z0-9_./:,@%+=-]+$/

export const quote = (word) => (plain.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`)

const line = (...words) => words.filter((w) => w !== '').map(quote).join(' ')

const DEFAULTS = { proxy: '127.0.0.1:8080', nats: 'nats://127.0.0.1:4222', prefix: 'damrey' }

// Commands that speak to NATS themselves. All others of damrey ask a proxy, and that knows the rest.
const FLAGS = { tap: ['nats', 'prefix'], 'worker run': ['nats', 'prefix'] }

const prefixOf = (fabric) => fabric?.prefix || DEFAULTS.prefix

function flagsOf(command, fabric) {
  const bare = location.protocol === 'http:' && location.port // else the flag would mean another port
  const at = { proxy: bare ? location.host.replace('localhost:', '127.0.0.1:') : location.origin, nats: fabric?.nats?.[0] || DEFAULTS.nats, prefix: prefixOf(fabric) }
  const verb = Object.keys(FLAGS).find((v) => command.startsWith(`damrey ${v} `))
  return (FLAGS[verb] ?? ['proxy']).filter((name) => at[name] !== DEFAULTS[name]).flatMap((name) => ['--' + name, at[name]])
}

// addressed is a command of damrey or nats with the flags that lead to the fabric of this page. What follows -- stays behind it.
export function addressed(command, fabric) {
  if (command.startsWith('nats ') && !command.includes(' --server ')) return nats(fabric) + command.slice('nats'.length)
  if (!command.startsWith('damrey ')) return command
  const end = command.indexOf(' -- ')
  const [own, rest] = end < 0 ? [command, ''] : [command.slice(0, end), command.slice(end)]
  return [own, ...flagsOf(command, fabric).map(quote)].join(' ') + rest
}

// A name that begins with - would be taken for a flag.
const names = (...all) => (all.some((name) => name.startsWith('-')) ? ['--', ...all] : all)

const damrey = (fabric, ...words) => addressed(line('damrey', ...words), fabric)

function nats(fabric, ...words) {
  const server = fabric?.nats?.[0]
  return line('nats', ...(!server || server === DEFAULTS.nats ? [] : ['--server', server]), ...words)
}

const streamName = (fabric, worker) => `${prefixOf(fabric).toUpperCase()}_JOBS_${worker}`

export function workerCommands(name, fabric, { durable = false } = {}) {
  return [
    damrey(fabric, 'top', 'instances', '--once', '--filter', name),
    damrey(fabric, 'worker', 'get', ...names(name)),
    damrey(fabric, 'worker', 'history', ...names(name)),
    nats(fabric, 'micro', 'stats', name),
    nats(fabric, 'kv', 'history', `${prefixOf(fabric)}_workers`, name),
    ...(durable ? [nats(fabric, 'stream', 'info', streamName(fabric, name))] : []),
  ]
}

export function routeCommands(route, fabric) {
  return [
    damrey(fabric, 'top', 'routes', '--once', '--filter', `${route.from} ${route.type} ${route.to}`), // the cells of its line
    damrey(fabric, 'tap', ...names(route.from, route.type)),
    ...(route.durable ? [
      damrey(fabric, 'dead', 'ls', '--worker', route.to, ...(route.type === '*' ? [] : ['--type', route.type]), '--from', route.from),
      nats(fabric, 'stream', 'info', streamName(fabric, route.to)),
      nats(fabric, 'consumer', 'ls', streamName(fabric, route.to)),
    ] : []),
    nats(fabric, 'micro', 'stats', route.to),
  ]
}

export const traceCommands = (id, fabric) => [damrey(fabric, 'trace', 'show', id)]
