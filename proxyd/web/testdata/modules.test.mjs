// The other modules that need no browser.
import test from 'node:test'
import assert from 'node:assert/strict'
import { groupsOf, modelOf, titleOf } from '../static/network.js'
import { columns, errorsOf, gather, smooth } from '../static/series.js'
import { middle, ms, percent, rate, seconds } from '../static/format.js'

const node = (name, more) => ({ name, registered: true, health: 'ok', ready: 1, instances: 1, in_flight: 0, queued: 0, rate: 10, error_share: 0, alarms: 0, ...more })
const route = (from, type, to, more) => ({ from, type, to, declared: true, observed: true, health: 'ok', rate: 5, error_share: 0, ...more })

test('routes of one pair are one edge with the worse health', () => {
  const m = modelOf({ nodes: [node('a'), node('b')], edges: [route('a', 'x', 'b'), route('a', 'y', 'b', { health: 'failing', rate: 15, error_share: 0.4, durable: { fill: 0.7, stored: 7, pending: 4, unacked: 3 } })] })
  const e = m.edges.get('a→b')
  assert.deepEqual([e.rate, e.health, e.fill, e.routes.length], [20, 'failing', 0.7, 2])
  assert.ok(Math.abs(e.error_share - 0.3) < 1e-9)
})

test('the bar of an edge is what its own routes store', () => {
  const durable = (pending) => ({ durable: { fill: 0.9, stored: 10, pending, unacked: 0 } })
  const m = modelOf({ nodes: [], edges: [route('a', 'x', 'c', durable(6)), route('a', 'y', 'c', durable(4)), route('b', 'x', 'c', durable(0))] })
  const [busy, unused] = [m.edges.get('a→c'), m.edges.get('b→c')]
  assert.deepEqual([busy.fill.toFixed(3), busy.full, unused.fill, unused.full], ['0.900', 0.9, 0, 0.9])
})

test('an edge to nobody that is known shows the node', () => {
  const m = modelOf({ nodes: [], edges: [route('a', 'x', 'b')] })
  assert.deepEqual([...m.nodes.keys()].sort(), ['a', 'b'])
})

test('groups fold into one node with their sums', () => {
  const nodes = ['pay-1', 'pay-2', 'pay-3', 'mail'].map((n) => node(n))
  nodes[1] = node('pay-2', { health: 'failing', rate: 10, error_share: 0.5 })
  const network = { nodes, edges: [route('pay-1', 'x', 'mail'), route('pay-2', 'x', 'mail'), route('pay-1', 'y', 'pay-2')] }
  assert.deepEqual([...groupsOf(nodes.map((n) => n.name)).keys()], ['pay'])
  const m = modelOf(network, new Set(['pay']))
  assert.deepEqual([...m.nodes.keys()].sort(), ['mail', 'pay-…'])
  const g = m.nodes.get('pay-…')
  assert.deepEqual([g.members.length, g.health, g.rate, g.instances], [3, 'failing', 30, 3])
  assert.ok(Math.abs(g.error_share - 5 / 30) < 1e-9)
  assert.deepEqual([...m.edges.keys()].sort(), ['pay-…→mail', 'pay-…→pay-…'])
})

test('numbers are short', () => {
  assert.deepEqual([rate(0), rate(0.001), rate(0.5), rate(12.34), rate(239), rate(12345), rate(2e6)], ['0/s', '<0.01/s', '0.50/s', '12.3/s', '239/s', '12.3 k/s', '2.0 M/s'])
  assert.deepEqual([percent(0), percent(0.0001), percent(0.031), percent(1)], ['0 %', '<0.1 %', '3.1 %', '100 %'])
  assert.deepEqual([ms(0), ms(0.25), ms(2.1), ms(1500), ms(90000)], ['–', '250 µs', '2.1 ms', '1.50 s', '1.5 min'])
  assert.deepEqual([seconds(0.5), seconds(12.5), seconds(300)], ['500 ms', '13 s', '5 min'])
  assert.deepEqual([middle('short', 10), middle('order-processor-17', 10)], ['short', 'order…r-17'])
})

test('what stands for all further routes is no worker', () => {
  const m = modelOf({ nodes: [node('a')], edges: [route('(other)', '(other)', '(other)'), route('(other)', '(other)', 'a')] })
  assert.deepEqual([m.nodes.get('(other)').further, titleOf('(other)'), titleOf('a')], [true, 'all further routes', 'a'])
  assert.ok(m.edges.has('(other)→(other)'))
})

test('rates are smoothed over three steps, and never over a gap', () => {
  const handled = [20, 20, 0, 40, 20, null, 0, 30]
  const points = handled.map((n, i) => ({ at: new Date(1e12 + i * 5000).toISOString(), handled: n })).filter((p) => p.handled !== null)
  const smoothed = smooth(points, 5, 3, ['handled'])
  const [, rates] = columns(smoothed, 5, [(p) => p.handled / 5])
  assert.deepEqual(rates.map((r) => r && Math.round(r * 100) / 100), [4, 4, 2.67, 4, 4, null, 0, 3])
})

test('series of several routes add up, without the points that still grow', () => {
  const point = (at, handled, more) => ({ at, handled, failed: 0, p50_ms: handled, p95_ms: 1, p99_ms: 1, ...more })
  const answer = (...points) => ({ from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:00:10Z', step_seconds: 5, series: [{ points }] })
  const { data, durable, loaded, many } = gather([
    answer(point('2026-01-01T00:00:00Z', 3, { stored: 2 }), point('2026-01-01T00:00:05Z', 1, { unfinished: true })),
    answer(point('2026-01-01T00:00:00Z', 4, { stored: 5 })),
  ])
  assert.deepEqual(data.map((p) => [p.handled, p.p50_ms, p.stored]), [[7, 4, 7]])
  assert.deepEqual([durable, loaded, many], [true, false, 2]) // of two the worse times are shown, and that is said
})

test('what an instance had in hand is shown', () => {
  const point = { at: '2026-01-01T00:00:00Z', handled: 1, failed: 0, p50_ms: 1, p95_ms: 1, p99_ms: 1, in_flight: 4, queued: 0 }
  const { data, loaded, durable, many } = gather([{ from: point.at, to: point.at, step_seconds: 5, series: [{ points: [point] }] }])
  assert.deepEqual([data[0].in_flight, data[0].queued, loaded, durable, many], [4, 0, true, false, 1])
})

test('the last errors of several routes are five, newest first', () => {
  const series = (from, last_errors) => ({ series: [{ from, type: 'x', to: 'b', points: [], last_errors }] })
  const at = (second) => ({ at: `2026-01-02T03:00:0${second}Z`, code: 'error', text: String(second), instance: 'A' })
  const errors = errorsOf([series('a', [at(6), at(3), at(1)]), series('c', [at(5), at(4), at(2)]), { series: [{ from: 'd', type: 'x', to: 'b', points: [] }] }], [])
  assert.deepEqual(errors.map((e) => e.from + e.text), ['a6', 'c5', 'c4', 'a3', 'c2'])
})

test('until their times are known, errors are the texts of the network', () => {
  assert.deepEqual(errorsOf(null, [route('a', 'x', 'b', { last_error: 'no' }), route('a', 'y', 'b')]), [{ from: 'a', type: 'x', to: 'b', text: 'no' }])
})
