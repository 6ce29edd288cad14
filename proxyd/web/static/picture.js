// The network drawn in SVG. Elements are made once and then only changed where a value did, so that two hundred nodes
// with new numbers several times a second cost little. All text goes in as text.
import { defaults, layout, pathOf, reach } from './graph.js'
import { fillLevel, titleOf, within } from './network.js'
import { middle, percent, rate } from './format.js'

const NS = 'http://www.w3.org/2000/svg'
const { width: W, height: H } = defaults
const NARROW = 600 // below this the layers are rows
const FLOWING = 60 // edges whose flow is drawn moving at most

function make(tag, attributes = {}, parent = null) {
  const el = document.createElementNS(NS, tag)
  for (const [k, v] of Object.entries(attributes)) el.setAttribute(k, v)
  parent?.appendChild(el)
  return el
}

// set changes an attribute or a text only when it is another.
function set(el, name, value) {
  const kept = (el.kept ??= {})
  if (kept[name] === value) return
  kept[name] = value
  if (name === 'text') setText(el, value)
  else if (value === null) el.removeAttribute(name)
  else el.setAttribute(name, value)
}

// setText keeps the text's node, which the browser lays out anew for less than another one.
function setText(el, value) {
  if (el.firstChild) el.firstChild.data = value
  else el.textContent = value
}

const sameKeys = (a, b) => a.size === b.size && [...a.keys()].every((key) => b.has(key))

// boxOf is where some points are, with room for what stands around them.
function boxOf(points) {
  const xs = points.map((p) => p.x), ys = points.map((p) => p.y), room = 50
  return { left: Math.min(...xs) - room, right: Math.max(...xs) + room, top: Math.min(...ys) - room, bottom: Math.max(...ys) + room }
}

export class Picture {
  constructor(svg, { onPick, onOpen }) {
    Object.assign(this, { svg, onPick, onOpen, nodes: new Map(), edges: new Map(), layout: null, model: null, waiting: 0 })
    this.view = { x: 0, y: 0, k: 1 }
    this.panel = false // whether the panel is open
    this.touched = false // whether somebody moved the picture; until then it fits itself
    this.chosen = null
    this.match = () => true
    this.canvas = make('g', { class: 'canvas' }, svg)
    this.edgeLayer = make('g', { class: 'edges' }, this.canvas)
    this.nodeLayer = make('g', { class: 'nodes' }, this.canvas)
    this.labelLayer = make('g', { class: 'labels', 'aria-hidden': 'true' }, this.canvas)
    this.listen()
    this.watcher = new ResizeObserver(() => this.resize())
    this.watcher.observe(svg)
  }

  close() {
    cancelAnimationFrame(this.waiting)
    this.watcher.disconnect()
  }

  // ---- what is shown ----

  // show draws a model of network.js; arrangeAnew forgets the places.
  show(model, { only = null, arrangeAnew = false } = {}) {
    if (only && model.nodes.has(only)) {
      const { upstream, downstream } = reach(model.edges.values(), only)
      model = within(model, new Set([...upstream, ...downstream]))
    }
    this.model = model
    this.reshape(arrangeAnew)
    if (!this.touched) this.fit()
    this.draw()
  }

  // draw brings what is in sight up to date; the rest is, when it comes into sight.
  draw() {
    const { model, layout } = this
    const { x, y, k } = this.view
    const left = -x / k, top = -y / k, right = left + this.svg.clientWidth / k, bottom = top + this.svg.clientHeight / k
    const numbers = this.distance === 'near'
    for (const node of model.nodes.values()) {
      const at = layout.nodes.get(node.name)
      const seen = at.x < right && at.x + W > left && at.y < bottom && at.y + H > top
      set(this.nodes.get(node.name).body, 'display', seen ? null : 'none')
      if (seen) this.drawNode(node, numbers)
    }
    const flowing = model.edges.size <= FLOWING
    for (const edge of model.edges.values()) {
      const { box, g, label } = this.edges.get(edge.key)
      const seen = box.left < right && box.right > left && box.top < bottom && box.bottom > top
      set(g, 'display', seen ? null : 'none')
      if (seen) this.drawEdge(edge, flowing)
      else set(label, 'display', 'none')
    }
  }

  // redraw draws soon, once for all that ask until then.
  redraw() {
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0
      if (this.model && this.svg.isConnected) this.draw()
    })
  }

  // reshape lays out anew when nodes or edges came or went, or the screen turned.
  reshape(arrangeAnew) {
    const { model } = this
    const box = this.svg.getBoundingClientRect()
    const down = box.width > 0 && box.width < NARROW
    const same = this.layout && this.layout.down === down && sameKeys(model.nodes, this.nodes) && sameKeys(model.edges, this.edges)
    if (same && !arrangeAnew) return
    const aspect = box.width > 0 && box.height > 0 ? Math.min(3, Math.max(0.4, box.width / box.height)) : 1.6
    const options = down ? { down, aspect, layerGap: 74, gap: 14 } : { down, aspect }
    if (this.layout && this.layout.down !== down) this.touched = false // all is somewhere else now
    const graph = { nodes: [...model.nodes.keys()], edges: [...model.edges.values()] }
    this.layout = layout(graph, options, arrangeAnew ? null : this.layout)
    this.prune(this.nodes, model.nodes)
    this.prune(this.edges, model.edges)
    for (const name of model.nodes.keys()) this.placeNode(name)
    for (const edge of model.edges.values()) this.placeEdge(edge)
    this.highlight()
  }

  prune(drawn, wanted) {
    for (const [key, d] of drawn) {
      if (wanted.has(key)) continue
      for (const el of d.all) el.remove()
      drawn.delete(key)
    }
  }

  placeNode(name) {
    const d = this.nodes.get(name) ?? this.makeNode(name)
    const at = this.layout.nodes.get(name)
    set(d.g, 'transform', `translate(${at.x} ${at.y})`)
  }

  drawNode(node, numbers) {
    const d = this.nodes.get(node.name)
    const state = !node.members && !node.registered ? ' unregistered' : ''
    d.class = `node ${node.further ? 'further' : node.health}${state}${node.paused ? ' paused' : ''}${node.members ? ' group' : ''}`
    set(d.g, 'class', d.class + d.mark)
    if (numbers) this.drawNumbers(d, node)
    set(d.alarms, 'text', node.alarms ? String(node.alarms) : '')
    set(d.alarmMark, 'display', node.alarms ? null : 'none')
    set(d.g, 'aria-label', this.describe(node))
    set(d.title, 'text', `${titleOf(node.name)}${node.why ? ': ' + node.why : ''}`)
  }

  drawNumbers(d, node) {
    const ready = node.further ? 'not told apart' : node.members ? `${node.members.length} workers` : node.health === 'unknown' ? '?' : `${node.ready}/${node.instances}`
    const speed = node.further ? '' : node.health === 'unknown' ? node.why ?? 'unknown' : node.paused ? 'paused' : rate(node.rate)
    set(d.ready, 'text', ready)
    set(d.rate, 'text', speed)
  }

  describe(node) {
    if (node.further) return `${titleOf(node.name)}, which beats do not tell apart`
    const parts = [node.name, node.health, `${node.ready} of ${node.instances} instances ready`]
    if (node.paused) parts.push('paused')
    if (!node.registered) parts.push('not registered')
    if (node.alarms) parts.push(`${node.alarms} alarms`)
    return parts.join(', ')
  }

  makeNode(name) {
    const g = make('g', { class: 'node', role: 'button', tabindex: '-1' }, this.nodeLayer)
    const title = make('title', {}, g)
    const body = make('g', {}, g) // what is hidden out of sight; the node itself stays, so that keys reach it
    make('rect', { class: 'back', x: 4, y: -4, width: W, height: H, rx: 7 }, body)
    make('rect', { class: 'box', width: W, height: H, rx: 7 }, body)
    make('rect', { class: 'stripe', x: 1, y: 1, width: 5, height: H - 2, rx: 2.5 }, body)
    const label = make('text', { class: 'name', x: 17, y: 22 }, body)
    const ready = make('text', { class: 'ready', x: 17, y: 42 }, body)
    const speed = make('text', { class: 'rate', x: W - 12, y: 42, 'text-anchor': 'end' }, body)
    const alarmMark = make('g', { class: 'alarm', transform: `translate(${W - 4} 4)` }, body)
    make('circle', { r: 10 }, alarmMark)
    const alarms = make('text', { 'text-anchor': 'middle', y: 4 }, alarmMark)
    const d = { name, g, title, body, label, ready, rate: speed, alarms, alarmMark, all: [g], class: '', mark: '' }
    g.picked = { node: name }
    this.nodes.set(name, d)
    this.nameNode(d)
    return d
  }

  // nameNode fits the name to its size, which is larger when the picture is far away.
  nameNode(d) {
    const most = { near: 19, far: 13, map: 10 }[this.distance ?? 'near']
    set(d.label, 'text', middle(titleOf(d.name), most))
    set(d.label, 'y', { near: '22', far: '34', map: '37' }[this.distance ?? 'near'])
  }

  placeEdge(edge) {
    const d = this.edges.get(edge.key) ?? this.makeEdge(edge)
    const at = this.layout.edges.get(edge.key)
    const path = pathOf(at, this.layout.down)
    for (const el of [d.hit, d.line, d.flow]) set(el, 'd', path)
    this.drawHead(d, at)
    d.box = boxOf([...at.points, at.label])
  }

  drawEdge(edge, flowing) {
    const d = this.edges.get(edge.key)
    const at = this.layout.edges.get(edge.key)
    const traffic = !edge.observed ? ' silent' : !edge.declared ? ' undeclared' : ''
    d.class = `edge ${edge.health}${traffic}${at.back ? ' backward' : ''}`
    set(d.g, 'class', d.class + d.mark)
    set(d.line, 'stroke-width', String(Math.round(2 * Math.min(4, 1.25 + Math.log10(1 + edge.rate) * 0.6)) / 2))
    set(d.flow, 'class', flowing && edge.rate > 0 ? `flow ${edge.rate > 100 ? 'fast' : edge.rate > 5 ? 'steady' : 'slow'}` : 'flow off')
    if (this.distance !== 'map') this.drawLabel(d, edge, at)
    set(d.title, 'text', this.tell(edge))
  }

  tell(edge) {
    const what = edge.routes.map((r) => r.type).join(', ')
    const said = edge.routes.find((r) => r.why)?.why
    return `${titleOf(edge.from)} → ${titleOf(edge.to)}: ${what}${said ? '; ' + said : ''}`
  }

  drawHead(d, at) {
    const p = at.points[at.points.length - 1]
    if (at.loop) {
      const x = p.x + (this.layout.down ? 0 : W / 2) + 14, y = p.y - (this.layout.down ? 0 : H / 2)
      set(d.head, 'transform', `translate(${x} ${y}) rotate(100)`)
      return
    }
    const turned = (this.layout.down ? 90 : 0) + (at.back ? 180 : 0)
    set(d.head, 'transform', `translate(${p.x} ${p.y}) rotate(${turned})`)
  }

  drawLabel(d, edge, at) {
    const bad = edge.error_share >= 0.001
    const text = edge.rate > 0 || edge.observed ? rate(edge.rate) : ''
    set(d.rate, 'text', text)
    set(d.errors, 'text', bad ? percent(edge.error_share) : '')
    const width = Math.max(text.length * 6.4, bad ? percent(edge.error_share).length * 6.4 : 0, edge.fill === null ? 0 : 34) + 10
    const height = (text ? 14 : 0) + (bad ? 13 : 0) + (edge.fill === null ? 0 : 8) + 2
    set(d.plate, 'width', String(Math.round(width)))
    set(d.plate, 'x', String(Math.round(-width / 2)))
    set(d.plate, 'height', String(height))
    set(d.label, 'display', text || edge.fill !== null ? null : 'none')
    const x = at.label.x + (at.loop ? 22 + width / 2 : 0), above = at.loop ? height + 2 : height / 2 // beside a loop, not on it
    set(d.label, 'transform', `translate(${x} ${at.label.y - above})`)
    set(d.errors, 'y', text ? '25' : '12')
    const y = String((text ? 14 : 0) + (bad ? 13 : 0) + 2)
    set(d.bar, 'display', edge.fill === null ? 'none' : null)
    set(d.bar, 'transform', `translate(-17 ${y})`)
    set(d.fill, 'width', String(edge.fill === null ? 0 : Math.round(34 * Math.min(1, edge.fill) * 10) / 10))
    set(d.fill, 'class', `fill ${fillLevel(edge.full ?? 0)}`)
  }

  makeEdge(edge) {
    const g = make('g', { class: 'edge' }, this.edgeLayer)
    const title = make('title', {}, g)
    const hit = make('path', { class: 'hit' }, g)
    const line = make('path', { class: 'line' }, g)
    const flow = make('path', { class: 'flow' }, g)
    const head = make('path', { class: 'head', d: 'M0 0L-9 -4.5L-7 0L-9 4.5Z' }, g)
    const label = make('g', { class: 'label' }, this.labelLayer)
    const plate = make('rect', { class: 'plate', rx: 4 }, label)
    const speed = make('text', { 'text-anchor': 'middle', y: 12 }, label)
    const errors = make('text', { class: 'errors', 'text-anchor': 'middle', y: 25 }, label)
    const bar = make('g', { class: 'bar' }, label)
    make('rect', { class: 'room', width: 34, height: 5, rx: 2.5 }, bar)
    const fill = make('rect', { class: 'fill', height: 5, rx: 2.5 }, bar)
    const d = { g, title, hit, line, flow, head, label, plate, rate: speed, errors, bar, fill, all: [g, label], class: '', mark: '', edge }
    g.picked = label.picked = { edge: edge.key }
    this.edges.set(edge.key, d)
    return d
  }

  // ---- what is chosen ----

  // choose marks a node with all lines through it, or an edge; null chooses nothing.
  choose(chosen) {
    this.chosen = chosen
    this.highlight()
  }

  search(match) {
    this.match = match
    this.highlight()
  }

  highlight() {
    if (!this.model) return
    const lit = this.lit()
    const tabbable = this.nodes.has(this.chosen?.node) ? this.chosen.node : this.model.nodes.keys().next().value
    for (const [name, d] of this.nodes) {
      d.mark = (lit && !lit.nodes.has(name) || !this.match(name) ? ' dimmed' : '') + (this.chosen?.node === name ? ' chosen' : '')
      set(d.g, 'class', d.class + d.mark)
      set(d.g, 'tabindex', name === tabbable ? '0' : '-1')
    }
    for (const [key, d] of this.edges) {
      const found = this.match(d.edge.from) || this.match(d.edge.to)
      d.mark = (lit && !lit.edges.has(key) || !found ? ' dimmed' : '') + (this.chosen?.edge === key ? ' chosen' : '')
      set(d.g, 'class', d.class + d.mark)
      set(d.label, 'class', 'label' + d.mark)
    }
  }

  // lit is what stays bright: the lines through the chosen node, or the chosen edge with its ends.
  lit() {
    const { model, chosen } = this
    if (chosen?.edge && model.edges.has(chosen.edge)) {
      const e = model.edges.get(chosen.edge)
      return { nodes: new Set([e.from, e.to]), edges: new Set([e.key]) }
    }
    if (!chosen?.node || !model.nodes.has(chosen.node)) return null
    const { upstream, downstream } = reach(model.edges.values(), chosen.node)
    const through = (e) => upstream.has(e.from) && upstream.has(e.to) || downstream.has(e.from) && downstream.has(e.to)
    return {
      nodes: new Set([...upstream, ...downstream]),
      edges: new Set([...model.edges.values()].filter(through).map((e) => e.key)),
    }
  }

  focusNode(name) {
    const d = this.nodes.get(name)
    if (!d) return
    for (const other of this.nodes.values()) set(other.g, 'tabindex', other === d ? '0' : '-1')
    d.g.focus({ preventScroll: true })
    this.reveal(name)
  }

  // ---- looking at it ----

  listen() {
    const { svg } = this
    const pointers = new Map()
    let moved = 0, pinch = 0
    svg.addEventListener('pointerdown', (e) => {
      if (e.button !== 0) return
      pointers.set(e.pointerId, e)
      moved = 0
      pinch = 0
    })
    svg.addEventListener('pointermove', (e) => {
      const was = pointers.get(e.pointerId)
      if (!was) return
      const dx = e.clientX - was.clientX, dy = e.clientY - was.clientY
      pointers.set(e.pointerId, e)
      moved += Math.abs(dx) + Math.abs(dy)
      if (moved > 4 && !svg.hasPointerCapture(e.pointerId)) svg.setPointerCapture(e.pointerId)
      if (pointers.size === 2) pinch = this.pinch([...pointers.values()], pinch)
      else if (moved > 4) this.move(dx, dy)
    })
    const release = (e) => pointers.delete(e.pointerId)
    svg.addEventListener('pointerup', release)
    svg.addEventListener('pointercancel', release)
    svg.addEventListener('pointerleave', (e) => { if (!svg.hasPointerCapture(e.pointerId)) release(e) })
    svg.addEventListener('click', (e) => {
      if (moved > 4) return
      const picked = e.target.closest?.('.node, .edge, .label')?.picked
      this.onPick(picked ?? null)
    })
    svg.addEventListener('dblclick', (e) => {
      const picked = e.target.closest?.('.node')?.picked
      if (picked) this.onOpen(picked.node)
    })
    svg.addEventListener('wheel', (e) => {
      e.preventDefault()
      const box = svg.getBoundingClientRect()
      this.zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0016)), e.clientX - box.left, e.clientY - box.top)
    }, { passive: false })
    svg.addEventListener('keydown', (e) => this.key(e))
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return
    const name = document.activeElement?.picked?.node
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key]
    if (direction && name) this.step(name, direction)
    else if ((e.key === 'Enter' || e.key === ' ') && name) this.onPick({ node: name })
    else if (e.key === 'Escape') this.onPick(null)
    else if (e.key === '+' || e.key === '=') this.zoom(1.25)
    else if (e.key === '-') this.zoom(0.8)
    else if (e.key === '0') this.fitAgain()
    else return
    e.preventDefault()
  }

  // step goes to the nearest node in a direction.
  step(name, [dx, dy]) {
    const from = this.layout.nodes.get(name)
    let best = null, least = Infinity
    for (const [other, at] of this.layout.nodes) {
      const x = at.x - from.x, y = at.y - from.y
      const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx)
      if (other === name || ahead <= 1 || aside > 3 * ahead) continue
      if (ahead + 2 * aside < least) {
        least = ahead + 2 * aside
        best = other
      }
    }
    if (best) this.focusNode(best)
  }

  move(dx, dy) {
    this.view.x += dx
    this.view.y += dy
    this.touched = true
    this.applyView()
  }

  zoom(factor, x = this.svg.clientWidth / 2, y = this.svg.clientHeight / 2) {
    const k = Math.min(3, Math.max(0.05, this.view.k * factor))
    const f = k / this.view.k
    this.view = { k, x: x - (x - this.view.x) * f, y: y - (y - this.view.y) * f }
    this.touched = true
    this.applyView()
  }

  pinch([a, b], before) {
    const distance = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)
    const box = this.svg.getBoundingClientRect()
    if (before) this.zoom(distance / before, (a.clientX + b.clientX) / 2 - box.left, (a.clientY + b.clientY) / 2 - box.top)
    return distance
  }

  fitAgain() {
    this.touched = false
    this.fit()
  }

  // free is how much room the panel leaves; it lies at the right, on a small screen at the bottom.
  free() {
    const w = this.svg.clientWidth, h = this.svg.clientHeight
    if (!this.panel) return { w, h }
    return w > 760 ? { w: w - (w > 2400 ? 540 : 410), h } : { w, h: h * 0.27 }
  }

  // cover says whether the panel is open. A picture that nobody moved makes room for it.
  cover(open) {
    if (open === this.panel) return
    this.panel = open
    if (this.layout && !this.touched) this.fit(true)
  }

  fit(glide = false) {
    const { x, y, width, height } = this.layout
    const w = this.free().w, h = this.svg.clientHeight
    if (!width || !w || !h) return
    const margin = w < NARROW ? 14 : 36
    const k = Math.min(w > 2400 ? 2 : 1.15, (w - 2 * margin) / width, (h - 2 * margin) / height)
    const view = { k, x: (w - width * k) / 2 - x * k, y: (h - height * k) / 2 - y * k }
    if (view.k === this.view.k && view.x === this.view.x && view.y === this.view.y) return
    this.view = view
    this.applyView(glide)
  }

  // reveal moves the picture as little as needed to show a node, where the panel leaves room.
  reveal(name) {
    const at = this.layout?.nodes.get(name)
    if (!at) return
    const { k, x, y } = this.view
    const { w, h } = this.free()
    const shift = (low, high, most) => (low < 12 ? 12 - low : high > most - 12 ? most - 12 - high : 0)
    const dx = shift(at.x * k + x, (at.x + W) * k + x, w), dy = shift(at.y * k + y, (at.y + H) * k + y, h)
    if (dx || dy) this.move(dx, dy)
  }

  resize() {
    if (!this.model) return
    this.reshape(false)
    if (!this.touched) this.fit()
    this.redraw()
  }

  applyView(glide = false) {
    const { x, y, k } = this.view
    set(this.canvas, 'data-glide', glide ? '' : null)
    this.canvas.style.transform = `translate(${Math.round(x * 10) / 10}px, ${Math.round(y * 10) / 10}px) scale(${Math.round(k * 1000) / 1000})`
    this.redraw()
    const distance = k >= 0.62 ? 'near' : k >= 0.42 ? 'far' : 'map'
    if (distance === this.distance) return
    this.distance = distance
    set(this.canvas, 'class', `canvas ${distance}`)
    for (const d of this.nodes.values()) this.nameNode(d)
  }
}
