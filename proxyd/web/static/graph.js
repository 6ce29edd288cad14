// The layout of the network, as pure functions. A node stands in a layer; edges go from layer to layer, and those that
// close a cycle go back. Layers are columns from left to right, or rows from top to bottom on a narrow screen; here
// "along" is the way from layer to layer and "across" the place within one.
//
// layout({nodes: [name], edges: [{from, to}]}, options, before) gives
//   {nodes: Map(name → {x, y, layer}), edges: Map(key → {points, back, loop}), x, y, width, height}
// The same graph gives the same layout, in whatever order it is told. With the layout of before, what was there stays
// exactly where it was, and what is new takes free places.

export const defaults = { width: 172, height: 54, gap: 20, beside: 5, port: 12, layerGap: 112, down: false, aspect: 1.6 }

// A small network has room for wider ways, on which labels do not touch.
const SMALL = 40
const roomy = { gap: 36, beside: 24, port: 17 }

// FURTHER stands in a beat for all routes that it does not tell apart. It is no worker and stands below them all.
export const FURTHER = '(other)'

const THIN = 6 // how much room an edge takes that passes a layer

export const edgeKey = (from, to) => `${from}→${to}`

export function layout(graph, options = {}, before = null) {
  const names = [...new Set(graph.nodes)].sort(compare)
  const o = { ...defaults, ...(names.length <= SMALL && !options.down ? roomy : {}), ...options }
  const size = { along: o.down ? o.height : o.width, across: o.down ? o.width : o.height }
  const pairs = pairsOf(graph, new Set(names))
  const workers = names.filter((n) => n !== FURTHER)
  const told = pairs.filter(({ from, to }) => from !== FURTHER && to !== FURTHER)
  const places = keep(workers, told, o, size, before) ?? arrange(workers, told, o, size)
  if (workers.length < names.length) places.at.set(FURTHER, below(places, o, size))
  return finish(names, pairs, o, size, places)
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0)

// below is a place under everything else.
function below(places, o, size) {
  const lowest = Math.max(...[...places.at.values()].map((p) => p.across), -size.across - 2 * o.gap)
  return { layer: 0, across: lowest + size.across + 2 * o.gap }
}

// pairsOf are the edges, each once, by key, between nodes that are there.
function pairsOf(graph, known) {
  const pairs = new Map()
  for (const { from, to } of graph.edges) {
    if (known.has(from) && known.has(to)) pairs.set(edgeKey(from, to), { key: edgeKey(from, to), from, to })
  }
  return [...pairs.values()].sort((a, b) => compare(a.key, b.key))
}

// neighbours are the ends of edges by their begins, and the other way round, without loops.
export function neighbours(pairs) {
  const next = new Map(), previous = new Map()
  const add = (map, a, b) => (map.get(a) ?? map.set(a, []).get(a)).push(b)
  for (const { from, to } of pairs) {
    if (from === to) continue
    add(next, from, to)
    add(previous, to, from)
  }
  return { next, previous }
}

// reach are all nodes on some line through one: upstream, downstream and itself.
export function reach(pairs, name) {
  const { next, previous } = neighbours(pairs)
  const walk = (map) => {
    const seen = new Set([name]), open = [name]
    while (open.length) {
      for (const n of map.get(open.pop()) ?? []) {
        if (!seen.has(n)) {
          seen.add(n)
          open.push(n)
        }
      }
    }
    return seen
  }
  return { upstream: walk(previous), downstream: walk(next) }
}

// ---- a layout from nothing ----

function arrange(names, pairs, o, size) {
  const { next, previous } = neighbours(pairs)
  const linked = names.filter((n) => next.has(n) || previous.has(n))
  const alone = names.filter((n) => !next.has(n) && !previous.has(n))
  const layers = split(layerOf(linked, next, previous), next, rowsFor(names.length, o, size))
  const columns = columnsOf(linked, pairs, layers)
  order(columns)
  place(columns, size, o)
  const places = { at: new Map(), via: new Map() }
  let bottom = -o.gap
  for (const column of columns) {
    for (const slot of column) {
      if (slot.pair) {
        const via = places.via.get(slot.pair) ?? places.via.set(slot.pair, []).get(slot.pair)
        via.push({ layer: slot.layer, across: slot.across })
      } else {
        places.at.set(slot.name, { layer: slot.layer, across: slot.across })
        bottom = Math.max(bottom, slot.across + size.across / 2)
      }
    }
  }
  const perRow = Math.max(columns.length, o.down ? rowsFor(alone.length, o, size) : Math.ceil(Math.sqrt(alone.length)))
  const step = size.across + o.gap
  alone.forEach((name, i) => {
    const across = bottom + o.gap + (linked.length ? o.gap : 0) + size.across / 2 + Math.floor(i / perRow) * step
    places.at.set(name, { layer: i % perRow, across })
  })
  return places
}

// rowsFor is how many nodes a layer may hold so that the picture has about the screen's shape.
function rowsFor(count, o, size) {
  const along = size.along + o.layerGap, across = size.across + o.gap
  const ratio = o.down ? 1 / o.aspect : o.aspect
  return Math.max(o.down ? 2 : 4, Math.ceil(Math.sqrt(((count * 1.5) * along) / (across * ratio))))
}

// acyclic is an order in which all edges go forward but those that close a cycle: depth first, from where messages begin.
function acyclic(names, next, previous) {
  const state = new Map(), done = [], back = new Set()
  const degree = (n) => (next.get(n)?.length ?? 0) - (previous.get(n)?.length ?? 0)
  const starts = [...names].sort((a, b) =>
    Number(previous.has(a)) - Number(previous.has(b)) || degree(b) - degree(a) || compare(a, b))
  for (const start of starts) {
    if (state.has(start)) continue
    const path = [{ name: start, i: 0 }]
    state.set(start, 'open')
    while (path.length) {
      const top = path[path.length - 1]
      const to = next.get(top.name)?.[top.i++]
      if (to === undefined) {
        state.set(top.name, 'done')
        done.push(top.name)
        path.pop()
      } else if (!state.has(to)) {
        state.set(to, 'open')
        path.push({ name: to, i: 0 })
      } else if (state.get(to) === 'open') {
        back.add(edgeKey(top.name, to))
      }
    }
  }
  return { sequence: done.reverse(), back }
}

// layerOf gives each node the first layer behind all that lead to it, and draws what only sends up to its targets.
function layerOf(names, next, previous) {
  const { sequence, back } = acyclic(names, next, previous)
  const layers = new Map(names.map((n) => [n, 0]))
  const ahead = (name) => [
    ...(next.get(name) ?? []).filter((to) => !back.has(edgeKey(name, to))),
    ...(previous.get(name) ?? []).filter((from) => back.has(edgeKey(from, name))),
  ]
  for (const name of resort(names, ahead, sequence)) {
    for (const to of ahead(name)) layers.set(to, Math.max(layers.get(to), layers.get(name) + 1))
  }
  const reached = new Set(names.flatMap(ahead))
  for (const name of names) {
    const targets = ahead(name).map((to) => layers.get(to))
    if (!reached.has(name) && targets.length) layers.set(name, Math.min(...targets) - 1)
  }
  return layers
}

// resort is a topological order of the graph with its back edges turned round.
function resort(names, ahead, sequence) {
  const missing = new Map(names.map((n) => [n, 0]))
  for (const n of names) for (const to of ahead(n)) missing.set(to, missing.get(to) + 1)
  const open = sequence.filter((n) => missing.get(n) === 0), out = []
  for (let i = 0; i < open.length; i++) {
    out.push(open[i])
    for (const to of ahead(open[i])) {
      missing.set(to, missing.get(to) - 1)
      if (missing.get(to) === 0) open.push(to)
    }
  }
  return out
}

// split makes several layers of one that holds too many nodes; no edge is within a layer, so none is turned round by it.
function split(layers, next, rows) {
  const byLayer = []
  for (const [name, layer] of layers) (byLayer[layer] ??= []).push(name)
  const out = new Map()
  let at = 0
  for (const members of byLayer) {
    if (!members) continue
    members.sort((a, b) => (next.get(a)?.length ?? 0) - (next.get(b)?.length ?? 0) || compare(a, b))
    const parts = Math.ceil(members.length / rows)
    members.forEach((name, i) => out.set(name, at + Math.floor((i * parts) / members.length)))
    at += parts
  }
  return out
}

// columnsOf are the slots of each layer: nodes, and a thin one wherever an edge passes.
function columnsOf(names, pairs, layers) {
  const columns = [], slots = new Map()
  const add = (slot) => {
    ;(columns[slot.layer] ??= []).push(slot)
    return slot
  }
  for (const name of names) slots.set(name, add({ name, layer: layers.get(name), before: [], after: [] }))
  const link = (a, b) => {
    a.after.push(b)
    b.before.push(a)
  }
  for (const { key, from, to } of pairs) {
    if (from === to) continue
    const forward = layers.get(from) < layers.get(to)
    const [first, last] = forward ? [from, to] : [to, from]
    let at = slots.get(first)
    for (let layer = layers.get(first) + 1; layer < layers.get(last); layer++) {
      const slot = add({ pair: key, layer, before: [], after: [] })
      link(at, slot)
      at = slot
    }
    link(at, slots.get(last))
  }
  return columns
}

// order lowers the number of crossings: each layer is sorted by the mean place of its neighbours, to and fro.
function order(columns) {
  number(columns)
  depthFirst(columns)
  let best = columns.map((c) => [...c]), least = crossings(columns)
  const rounds = columns.reduce((n, c) => n + c.length, 0) > 2500 ? 4 : 12
  for (let round = 0; round < rounds && least > 0; round++) {
    const forward = round % 2 === 0
    const turn = forward ? columns : [...columns].reverse()
    for (const column of turn) {
      for (const slot of column) slot.mean = mean(forward ? slot.before : slot.after) ?? slot.index
      column.sort((a, b) => a.mean - b.mean || a.index - b.index)
      column.forEach((slot, i) => { slot.index = i })
    }
    const now = crossings(columns)
    if (now < least) {
      least = now
      best = columns.map((c) => [...c])
    }
  }
  columns.forEach((c, i) => { columns[i] = best[i] })
  number(columns)
}

const number = (columns) => columns.forEach((c) => c.forEach((slot, i) => { slot.index = i }))

const mean = (slots) => (slots.length ? slots.reduce((sum, s) => sum + s.index, 0) / slots.length : undefined)

// depthFirst begins with what belongs together beside one another.
function depthFirst(columns) {
  const seen = new Set(), sorted = columns.map(() => [])
  for (const start of columns.flat()) {
    const open = [start]
    while (open.length) {
      const slot = open.pop()
      if (seen.has(slot)) continue
      seen.add(slot)
      sorted[slot.layer].push(slot)
      open.push(...[...slot.before, ...slot.after].reverse())
    }
  }
  columns.forEach((_, i) => { columns[i] = sorted[i] })
  number(columns)
}

// crossings counts pairs of edges between neighbouring layers whose ends are in the other order than their begins.
export function crossings(columns) {
  let count = 0
  for (let i = 0; i + 1 < columns.length; i++) {
    const ends = columns[i].flatMap((slot) => slot.after.map((s) => s.index).sort((a, b) => a - b))
    const tree = new Array(columns[i + 1].length + 1).fill(0)
    ends.forEach((end, seen) => {
      let notAbove = 0
      for (let j = end + 1; j > 0; j -= j & -j) notAbove += tree[j]
      count += seen - notAbove
      for (let j = end + 1; j < tree.length; j += j & -j) tree[j]++
    })
  }
  return count
}

const apart = (a, b, o) => (a.pair && b.pair ? o.beside : a.pair || b.pair ? Math.max(o.beside, o.gap / 2) : o.gap)

// place gives every slot its middle across: near its neighbours, in its layer's order, and never over another.
function place(columns, size, o) {
  const extent = (slot) => (slot.pair ? THIN : size.across)
  const offsets = columns.map((column) => {
    let sum = 0
    return column.map((slot, i) => {
      if (i > 0) sum += (extent(column[i - 1]) + extent(slot)) / 2 + apart(column[i - 1], slot, o)
      return sum
    })
  })
  columns.forEach((column, c) => {
    const middle = (offsets[c][offsets[c].length - 1] ?? 0) / 2
    column.forEach((slot, i) => { slot.across = offsets[c][i] - middle })
  })
  for (let round = 0; round < 10; round++) {
    const turn = columns.map((_, i) => (round % 2 === 0 ? i : columns.length - 1 - i))
    for (const c of turn) {
      const wanted = columns[c].map((slot) => {
        const near = round > 7 ? [...slot.before, ...slot.after] : round % 2 === 0 ? slot.before : slot.after
        return near.length ? pull(slot, near) : slot.across
      })
      const fitted = monotone(wanted.map((w, i) => w - offsets[c][i]))
      columns[c].forEach((slot, i) => { slot.across = fitted[i] + offsets[c][i] })
    }
  }
  const top = Math.min(...columns.flat().map((slot) => slot.across - extent(slot) / 2))
  for (const slot of columns.flat()) slot.across -= top
}

// pull is the place that keeps long edges straight first, then those between neighbours.
function pull(slot, near) {
  let sum = 0, weights = 0
  for (const other of near) {
    const weight = slot.pair && other.pair ? 8 : slot.pair || other.pair ? 1 : 4
    sum += weight * other.across
    weights += weight
  }
  return sum / weights
}

// monotone is the sequence that never falls and is nearest to the wanted one: neighbours that would fall are pooled.
export function monotone(wanted) {
  const pools = []
  for (const w of wanted) {
    pools.push({ sum: w, count: 1 })
    while (pools.length > 1) {
      const last = pools[pools.length - 1], one = pools[pools.length - 2]
      if (one.sum / one.count <= last.sum / last.count) break
      one.sum += last.sum
      one.count += last.count
      pools.pop()
    }
  }
  return pools.flatMap((p) => new Array(p.count).fill(p.sum / p.count))
}

// ---- a layout that goes on from the one before ----

// keep leaves everything where it was and finds free places for what is new; null when too little is left of it.
function keep(names, pairs, o, size, before) {
  if (!before || before.down !== o.down) return null
  const staying = names.filter((n) => before.places.at.has(n))
  if (staying.length * 3 < Math.max(names.length, before.places.at.size) * 2) return null
  const places = { at: new Map(), via: new Map() }
  for (const n of staying) places.at.set(n, before.places.at.get(n))
  for (const { key, from, to } of pairs) {
    const via = before.places.via.get(key)
    if (via && places.at.has(from) && places.at.has(to)) places.via.set(key, via)
  }
  const { next, previous } = neighbours(pairs)
  let missing = names.filter((n) => !places.at.has(n))
  while (missing.length) { // those beside something that has a place come first
    const beside = missing.filter((n) => [...(next.get(n) ?? []), ...(previous.get(n) ?? [])].some((m) => places.at.has(m)))
    for (const name of beside.length ? beside : missing.slice(0, 1)) settle(name, next, previous, places, o, size)
    missing = missing.filter((n) => !places.at.has(n))
  }
  return places
}

function settle(name, next, previous, places, o, size) {
  const placed = (map) => (map.get(name) ?? []).map((n) => places.at.get(n)).filter(Boolean)
  const sources = placed(previous), targets = placed(next)
  const all = [...places.at.values()]
  let layer = 0, wanted = Math.max(0, ...all.map((p) => p.across)) + size.across + o.gap
  if (sources.length) layer = Math.max(...sources.map((p) => p.layer)) + 1
  else if (targets.length) layer = Math.min(...targets.map((p) => p.layer)) - 1
  const near = [...sources, ...targets]
  if (near.length) wanted = near.reduce((sum, p) => sum + p.across, 0) / near.length
  places.at.set(name, { layer, across: free(layer, wanted, places, o, size) })
}

// free is the place nearest to the wanted one that nothing in the layer takes.
function free(layer, wanted, places, o, size) {
  const taken = []
  for (const p of places.at.values()) if (p.layer === layer) taken.push([p.across, size.across])
  for (const via of places.via.values()) for (const p of via) if (p.layer === layer) taken.push([p.across, THIN])
  const clear = (y) => taken.every(([middle, extent]) => Math.abs(y - middle) >= (extent + size.across) / 2 + o.gap - 0.01)
  const candidates = [wanted]
  for (const [middle, extent] of taken) {
    const step = (extent + size.across) / 2 + o.gap
    candidates.push(middle - step, middle + step)
  }
  return candidates.filter(clear).sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted) || a - b)[0]
}

// ---- from places to a picture ----

function finish(names, pairs, o, size, places) {
  const step = size.along + o.layerGap
  const turn = (along, across) => (o.down ? { x: across, y: along } : { x: along, y: across })
  const nodes = new Map()
  for (const name of names) {
    const { layer, across } = places.at.get(name)
    nodes.set(name, { ...turn(layer * step, across - size.across / 2), layer })
  }
  const ports = portsOf(pairs, places, size, o)
  const edges = new Map()
  for (const { key, from, to } of pairs) {
    const back = places.at.get(from).layer >= places.at.get(to).layer
    edges.set(key, { back, loop: from === to, ...way(key, from, to, back, places, ports, size, step, turn, o) })
  }
  return { nodes, edges, ...bounds(nodes, o), down: o.down, options: o, places }
}

// portsOf spreads the ends of the edges over the sides of their nodes, in the order of where they come from.
function portsOf(pairs, places, size, o) {
  const sides = new Map()
  const add = (name, side, key, toward) => {
    const id = `${name} ${side}`
    ;(sides.get(id) ?? sides.set(id, []).get(id)).push({ key, toward })
  }
  for (const { key, from, to } of pairs) {
    if (from === to) continue
    const a = places.at.get(from), b = places.at.get(to), via = places.via.get(key)
    const forward = a.layer < b.layer
    const near = (end, other) => (via?.length ? (end.layer < other.layer ? via[0] : via[via.length - 1]).across : other.across)
    add(from, forward ? 'out' : 'in', key, near(a, b))
    add(to, forward ? 'in' : 'out', key, near(b, a))
  }
  const ports = new Map()
  for (const [id, ends] of sides) {
    ends.sort((a, b) => a.toward - b.toward || compare(a.key, b.key))
    const gap = Math.min(o.port, (size.across * 0.72) / ends.length)
    ends.forEach(({ key }, i) => ports.set(`${id} ${key}`, (i - (ends.length - 1) / 2) * gap))
    ports.set(id, ends.length)
  }
  return ports
}

// way are the points of an edge from its begin to its end, and where its label stands: each pair of points from an even
// index on is a bend between two layers, each from an odd one a straight piece through a layer.
function way(key, from, to, back, places, ports, size, step, turn, o) {
  const a = places.at.get(from), b = places.at.get(to)
  if (from === to) return { points: [turn(a.layer * step, a.across)], label: o.down ? turn(a.layer * step, a.across) : turn(a.layer * step + size.along / 2, a.across - size.across / 2) }
  const [outSide, inSide] = back ? ['in', 'out'] : ['out', 'in']
  const begin = a.layer * step + (back ? 0 : size.along), end = b.layer * step + (back ? size.along : 0)
  const points = [turn(begin, a.across + ports.get(`${from} ${outSide} ${key}`))]
  const via = places.via.get(key) ?? []
  for (const p of back ? [...via].reverse() : via) {
    const ends = [p.layer * step, p.layer * step + size.along]
    for (const along of back ? ends.reverse() : ends) points.push(turn(along, p.across))
  }
  points.push(turn(end, b.across + ports.get(`${to} ${inSide} ${key}`)))
  return { points, label: labelAt(points, ports.get(`${from} ${outSide}`), ports.get(`${to} ${inSide}`), back) }
}

// labelAt is nearer to the end where fewer edges meet, so that labels of a fan do not lie on one another.
function labelAt(points, atBegin, atEnd, back) {
  const i = atBegin > atEnd ? points.length - 2 : 0
  const t = points.length > 2 ? 0.5 : back ? 0.3 : atBegin > atEnd ? 0.62 : atBegin < atEnd ? 0.38 : 0.5
  const a = points[i], b = points[i + 1], bend = t * t * (3 - 2 * t)
  return Math.abs(b.x - a.x) >= Math.abs(b.y - a.y) || points.length === 2
    ? { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * bend }
    : { x: a.x + (b.x - a.x) * bend, y: a.y + (b.y - a.y) * t }
}

function bounds(nodes, o) {
  if (!nodes.size) return { x: 0, y: 0, width: 0, height: 0 }
  const all = [...nodes.values()]
  const x = Math.min(...all.map((n) => n.x)), y = Math.min(...all.map((n) => n.y))
  return {
    x, y,
    width: Math.max(...all.map((n) => n.x)) + o.width - x,
    height: Math.max(...all.map((n) => n.y)) + o.height - y,
  }
}

// pathOf is an edge as the d of an SVG path.
export function pathOf(edge, down, size = defaults) {
  const round = (v) => Math.round(v * 10) / 10
  const at = (p) => `${round(p.x)} ${round(p.y)}`
  const [first, ...rest] = edge.points
  if (edge.loop) {
    const x = first.x + (down ? 0 : size.width / 2), y = first.y - (down ? 0 : size.height / 2)
    return `M${round(x - 14)} ${round(y)}c-10 -26 38 -26 28 0`
  }
  let d = `M${at(first)}`, from = first
  rest.forEach((to, i) => {
    if (i % 2 === 1) d += `L${at(to)}`
    else if (down) d += `C${round(from.x)} ${round((from.y + to.y) / 2)} ${round(to.x)} ${round((from.y + to.y) / 2)} ${at(to)}`
    else d += `C${round((from.x + to.x) / 2)} ${round(from.y)} ${round((from.x + to.x) / 2)} ${round(to.y)} ${at(to)}`
    from = to
  })
  return d
}
