// What the picture shows of a network document: groups folded into one node, and one edge for all routes of a pair.
import { edgeKey, FURTHER } from './graph.js'

const order = ['idle', 'unknown', 'ok', 'degraded', 'failing']
export const worse = (a, b) => (order.indexOf(a) >= order.indexOf(b) ? a : b)

const SMALLEST = 3

// titleOf is what a node is called: its name, but of what stands for all routes that beats do not tell apart.
export const titleOf = (name) => (name === FURTHER ? 'all further routes' : name)

// groupsOf are the names that begin alike, up to the first - or _; a group has at least three.
export function groupsOf(names) {
  const groups = new Map()
  for (const name of names) {
    const head = /^([^-_]+)[-_]/.exec(name)?.[1]
    if (head) (groups.get(head) ?? groups.set(head, []).get(head)).push(name)
  }
  for (const [head, members] of groups) if (members.length < SMALLEST) groups.delete(head)
  return groups
}

export const isGroup = (name) => name.endsWith('-…')
export const groupName = (head) => `${head}-…`

// modelOf is the document as a graph: nodes and edges by key, with folded groups in place of their members.
export function modelOf(network, folded = new Set()) {
  const groups = folded.size ? groupsOf(network.nodes.map((n) => n.name)) : new Map()
  const into = new Map()
  for (const head of folded) for (const name of groups.get(head) ?? []) into.set(name, groupName(head))
  const nodes = new Map()
  for (const node of network.nodes) {
    const name = into.get(node.name)
    if (!name) nodes.set(node.name, node.name === FURTHER ? unknown(node.name) : node)
    else nodes.set(name, sum(nodes.get(name), node, name))
  }
  const edges = new Map()
  for (const route of network.edges) {
    const from = into.get(route.from) ?? route.from, to = into.get(route.to) ?? route.to
    for (const name of [from, to]) if (!nodes.has(name)) nodes.set(name, unknown(name))
    const key = edgeKey(from, to)
    const edge = edges.get(key) ?? edges.set(key, { key, from, to, routes: [] }).get(key)
    edge.routes.push(route)
  }
  for (const edge of edges.values()) total(edge)
  return { nodes, edges, groups: groupsOf(network.nodes.map((n) => n.name)) }
}

// unknown is a node that only an edge names.
const unknown = (name) => ({
  name, further: name === FURTHER, registered: false, health: 'idle', ready: 0, instances: 0, in_flight: 0, queued: 0, rate: 0, error_share: 0, alarms: 0,
})

function sum(group, node, name) {
  const g = group ?? { ...unknown(name), members: [], registered: true, errors: 0 }
  g.members.push(node.name)
  g.health = worse(g.health, node.health)
  g.errors += node.error_share * node.rate
  for (const field of ['ready', 'instances', 'in_flight', 'queued', 'rate', 'alarms']) g[field] += node[field]
  g.error_share = g.rate ? g.errors / g.rate : 0
  return g
}

function total(edge) {
  const { routes } = edge
  edge.rate = routes.reduce((n, r) => n + r.rate, 0)
  edge.error_share = edge.rate ? routes.reduce((n, r) => n + r.error_share * r.rate, 0) / edge.rate : Math.max(...routes.map((r) => r.error_share))
  edge.health = routes.reduce((h, r) => worse(h, r.health), 'idle')
  edge.declared = routes.some((r) => r.declared)
  edge.observed = routes.some((r) => r.observed)
  const stored = routes.map((r) => r.durable).filter(Boolean)
  edge.fill = stored.length ? Math.min(1, stored.reduce((n, d) => n + ownFill(d), 0)) : null
  edge.full = stored.length ? Math.max(...stored.map((d) => d.fill)) : null // the target
  edge.paused = routes.every((r) => r.paused)
}

// ownFill is how much of its target's limit a route uses itself.
const ownFill = (d) => (d.stored ? d.fill * Math.min(1, (d.pending + d.unacked) / d.stored) : 0)

// only keeps what lies on a line through one of the names.
export function within(model, names) {
  const nodes = new Map([...model.nodes].filter(([name]) => names.has(name)))
  const edges = new Map([...model.edges].filter(([, e]) => names.has(e.from) && names.has(e.to)))
  return { ...model, nodes, edges }
}

export const fillLevel = (fill) => (fill >= 0.85 ? 'red' : fill >= 0.6 ? 'yellow' : 'green')
