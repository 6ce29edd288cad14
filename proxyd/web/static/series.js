// Points over time made ready for a plot, as pure functions.
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
