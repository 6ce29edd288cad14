// What was, made ready for the panel, as pure functions.

// columns gives uPlot's columns; where a step is missing the line is broken.
export function columns(points, step, pick) {
  const times = [], values = pick.map(() => [])
  let last = null
  for (const p of points) {
    const t = new Date(p.at).getTime() / 1000
    if (last !== null && t - last > step * 1.5) {
      times.push(last + step)
      values.forEach((v) => v.push(null))
    }
    times.push(t)
    pick.forEach((f, i) => values[i].push(f(p)))
    last = t
  }
  return [times, ...values]
}

// smooth gives each point the means of it and those before it, so many in all, but of none from before a gap.
export function smooth(points, step, many, fields) {
  const time = (p) => new Date(p.at).getTime() / 1000
  let begin = 0
  return points.map((p, i) => {
    if (i > 0 && time(p) - time(points[i - 1]) > step * 1.5) begin = i
    const window = points.slice(Math.max(begin, i - many + 1), i + 1)
    const means = fields.map((f) => [f, window.reduce((n, w) => n + w[f], 0) / window.length])
    return { ...p, ...Object.fromEntries(means) }
  })
}

// gather adds the series of several routes up: counts are summed, of percentiles the worst is shown, of how many that is said.
// Points that go on are left out.
export function gather(answers) {
  const points = new Map()
  const step = answers?.[0]?.step_seconds || 5
  const series = (answers ?? []).flatMap((a) => a.series)
  let durable = false, loaded = false
  for (const p of series.flatMap((s) => s.points)) {
    if (p.unfinished) continue
    const at = points.get(p.at) ?? points.set(p.at, { at: p.at, handled: 0, failed: 0, p50_ms: 0, p95_ms: 0, p99_ms: 0, stored: 0, in_flight: 0, queued: 0 }).get(p.at)
    at.handled += p.handled
    at.failed += p.failed
    for (const k of ['p50_ms', 'p95_ms', 'p99_ms']) at[k] = Math.max(at[k], p[k])
    for (const k of ['stored', 'in_flight', 'queued']) at[k] += p[k] ?? 0
    durable ||= p.stored > 0
    loaded ||= p.in_flight !== undefined
  }
  const first = answers?.[0]
  const range = first ? [new Date(first.from) / 1000, new Date(first.to) / 1000] : null
  return { data: [...points.values()].sort((a, b) => new Date(a.at) - new Date(b.at)), step, durable, loaded, range, many: series.filter((s) => s.points.length > 0).length }
}

const ERRORS = 5

// errorsOf are the last errors of several routes, newest first. Without an answer there is what the network says: texts alone.
export function errorsOf(answers, routes) {
  if (!answers) return routes.filter((r) => r.last_error).slice(0, ERRORS).map((r) => ({ from: r.from, type: r.type, to: r.to, text: r.last_error }))
  return answers.flatMap((a) => a.series).flatMap((s) => (s.last_errors ?? []).map((e) => ({ from: s.from, type: s.type, to: s.to, ...e })))
    .sort((a, b) => new Date(b.at) - new Date(a.at)).slice(0, ERRORS)
}
