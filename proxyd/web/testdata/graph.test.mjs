// Properties of the layout, over many random graphs.
import test from 'node:test'
import assert from 'node:assert/strict'
import { crossings, defaults, edgeKey, FURTHER, layout, monotone, pathOf, reach } from '../static/graph.js'

// A generator that gives the same numbers each time.
function numbers(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) >>> 0
    return seed / 2 ** 32
  }
}

function randomGraph(random, most = 60) {
  const n = 1 + Math.floor(random() * most)
  const nodes = Array.from({ length: n }, (_, i) => `w${i}`)
  const edges = Array.from({ length: Math.floor(random() * 2 * n) }, () => ({ from: nodes[Math.floor(random() * n)], to: nodes[Math.floor(random() * n)] }))
  return { nodes, edges }
}

function shuffled(list, random) {
  return list.map((v) => [random(), v]).sort((a, b) => a[0] - b[0]).map(([, v]) => v)
}

function overlap(l) {
  const all = [...l.nodes]
  for (let i = 0; i < all.length; i++) {
    for (let j = i + 1; j < all.length; j++) {
      const [a, p] = all[i], [b, q] = all[j]
      if (Math.abs(p.x - q.x) < defaults.width && Math.abs(p.y - q.y) < defaults.height) return `${a} lies on ${b}`
    }
  }
  return ''
}

const forEach = (times, f) => { for (let seed = 1; seed <= times; seed++) f(numbers(seed), seed) }

test('no node lies on another, and everything has a finite place', () => {
  forEach(150, (random, seed) => {
    for (const options of [{}, { down: true, aspect: 0.5 }]) {
      const g = randomGraph(random), l = layout(g, options)
      assert.equal(l.nodes.size, g.nodes.length)
      assert.equal(overlap(l), '', `seed ${seed}`)
      for (const { x, y } of l.nodes.values()) assert.ok(Number.isFinite(x) && Number.isFinite(y))
      for (const e of l.edges.values()) assert.doesNotMatch(pathOf(e, l.down), /NaN|undefined|Infinity/)
    }
  })
})

test('an edge goes forward, or is said to go back', () => {
  forEach(100, (random) => {
    const g = randomGraph(random), l = layout(g)
    for (const { from, to } of g.edges) {
      const e = l.edges.get(edgeKey(from, to)), a = l.nodes.get(from), b = l.nodes.get(to)
      assert.equal(e.loop, from === to)
      assert.equal(e.back, a.layer >= b.layer)
      assert.equal(e.back, a.x >= b.x)
    }
  })
})

test('without cycles nothing goes back', () => {
  forEach(100, (random) => {
    const g = randomGraph(random)
    g.edges = g.edges.filter(({ from, to }) => Number(from.slice(1)) < Number(to.slice(1)))
    for (const e of layout(g).edges.values()) assert.equal(e.back, false)
  })
})

test('a cycle has as few edges back as it needs', () => {
  const l = layout({ nodes: ['a', 'b', 'c', 'd'], edges: [{ from: 'a', to: 'b' }, { from: 'b', to: 'c' }, { from: 'c', to: 'd' }, { from: 'd', to: 'b' }] })
  assert.deepEqual([...l.edges].filter(([, e]) => e.back).map(([k]) => k), ['d→b'])
})

test('the order in which a graph is told changes nothing', () => {
  forEach(60, (random) => {
    const g = randomGraph(random), l = layout(g)
    const again = layout({ nodes: shuffled(g.nodes, random), edges: shuffled(g.edges, random) })
    assert.deepEqual([...l.nodes].sort(), [...again.nodes].sort())
  })
})

test('what stays does not move when nodes come and go', () => {
  forEach(120, (random, seed) => {
    const g = randomGraph(random)
    const before = layout(g)
    const nodes = g.nodes.filter(() => random() > 0.1)
    for (let i = 0; i < 3; i++) nodes.push(`new${i}`)
    const edges = [...g.edges, ...[0, 1, 2].map((i) => ({ from: nodes[Math.floor(random() * nodes.length)], to: `new${i}` }))]
    const after = layout({ nodes, edges }, {}, before)
    const staying = nodes.filter((n) => before.nodes.has(n))
    assert.equal(overlap(after), '', `seed ${seed}`)
    if (staying.length * 3 < Math.max(nodes.length, g.nodes.length) * 2) return // so little is left that all is arranged anew
    for (const n of staying) assert.deepEqual(after.nodes.get(n), before.nodes.get(n), `seed ${seed}, ${n}`)
  })
})

test('a graph that is far too deep or wide is laid out all the same', () => {
  const nodes = Array.from({ length: 1500 }, (_, i) => `n${i}`)
  const chain = layout({ nodes, edges: nodes.slice(1).map((to, i) => ({ from: nodes[i], to })) })
  assert.equal(new Set([...chain.nodes.values()].map((n) => n.layer)).size, 1500)
  const few = nodes.slice(0, 250)
  const star = layout({ nodes: few, edges: few.slice(1).map((to) => ({ from: 'n0', to })) })
  assert.ok(star.width / star.height < 4 && star.width / star.height > 0.25, `${star.width} × ${star.height}`)
  assert.equal(layout({ nodes: [], edges: [] }).width, 0)
})

test('an edge to a node that is not there is left out', () => {
  assert.equal(layout({ nodes: ['a'], edges: [{ from: 'a', to: 'b' }] }).edges.size, 0)
})

test('crossings are counted as by hand', () => {
  forEach(60, (random) => {
    const left = Array.from({ length: 6 }, (_, index) => ({ index, after: [] }))
    const right = Array.from({ length: 6 }, (_, index) => ({ index, after: [] }))
    const ends = []
    for (let i = 0; i < 14; i++) {
      const a = Math.floor(random() * 6), b = Math.floor(random() * 6)
      left[a].after.push(right[b])
      ends.push([a, b])
    }
    let want = 0
    ends.forEach(([a, b], i) => ends.slice(i + 1).forEach(([c, d]) => { if ((a - c) * (b - d) < 0) want++ }))
    assert.equal(crossings([left, right]), want)
  })
})

test('monotone never falls and keeps the sum', () => {
  forEach(100, (random) => {
    const wanted = Array.from({ length: 20 }, () => random() * 100)
    const got = monotone(wanted)
    got.slice(1).forEach((v, i) => assert.ok(v >= got[i] - 1e-9))
    assert.ok(Math.abs(got.reduce((a, b) => a + b) - wanted.reduce((a, b) => a + b)) < 1e-6)
  })
  assert.deepEqual(monotone([1, 2, 3]), [1, 2, 3])
})

test('reach follows the lines both ways', () => {
  const edges = [['a', 'b'], ['b', 'c'], ['x', 'b'], ['c', 'd'], ['y', 'd']].map(([from, to]) => ({ from, to }))
  const { upstream, downstream } = reach(edges, 'c')
  assert.deepEqual([...upstream].sort(), ['a', 'b', 'c', 'x'])
  assert.deepEqual([...downstream].sort(), ['c', 'd'])
})

test('what stands for all further routes is below all workers, and its loop is drawn', () => {
  forEach(50, (random, seed) => {
    const g = randomGraph(random)
    const before = layout(g)
    g.edges.push({ from: FURTHER, to: FURTHER }, { from: FURTHER, to: g.nodes[0] })
    const l = layout({ nodes: [...g.nodes, FURTHER], edges: g.edges }, {}, before)
    assert.equal(overlap(l), '', `seed ${seed}`)
    const at = l.nodes.get(FURTHER)
    for (const [name, n] of l.nodes) {
      if (name === FURTHER) continue
      assert.ok(n.y + defaults.height < at.y, `seed ${seed}: ${name}`)
      assert.deepEqual(n, before.nodes.get(name))
    }
    assert.ok(l.edges.get(edgeKey(FURTHER, FURTHER)).loop)
  })
})
