// The exact lines that show the same in a terminal. A name that came from elsewhere is quoted for the shell.
const plain = /^[A-Za-z0-9_./:,@%+=-]+$/

export const quote = (word) => (plain.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`)

const line = (...words) => words.filter((w) => w !== '').map(quote).join(' ')

function where(fabric) {
  const address = location.host
  return {
    proxy: address === '127.0.0.1:8080' || address === 'localhost:8080' ? [] : ['--proxy', address],
    nats: !fabric?.nats?.[0] || fabric.nats[0] === 'nats://127.0.0.1:4222' ? [] : ['--server', fabric.nats[0]],
    prefix: fabric?.prefix || 'damrey',
  }
}

const streamName = (prefix, worker) => `${prefix.toUpperCase()}_JOBS_${worker}`

export function workerCommands(name, fabric, { durable = false } = {}) {
  const { proxy, nats, prefix } = where(fabric)
  return [
    line('damrey', 'worker', 'get', name, ...proxy),
    line('damrey', 'worker', 'history', name, ...proxy),
    line('nats', ...nats, 'micro', 'stats', name),
    line('nats', ...nats, 'kv', 'history', `${prefix}_workers`, name),
    ...(durable ? [line('nats', ...nats, 'stream', 'info', streamName(prefix, name))] : []),
  ]
}

export function routeCommands(route, fabric) {
  const { proxy, nats, prefix } = where(fabric)
  return [
    line('damrey', 'tap', route.from, route.type, ...proxy),
    ...(route.durable ? [
      line('damrey', 'dead', 'ls', '--worker', route.to, '--type', route.type, '--from', route.from, ...proxy),
      line('nats', ...nats, 'stream', 'info', streamName(prefix, route.to)),
      line('nats', ...nats, 'consumer', 'ls', streamName(prefix, route.to)),
    ] : []),
    line('nats', ...nats, 'micro', 'stats', route.to),
  ]
}

export const traceCommands = (id, fabric) => [line('damrey', 'trace', 'show', id, ...where(fabric).proxy)]
