// A plot over time with uPlot, in the colours of the theme.
import uPlot from 'uplot'
import { html, useEffect, useRef } from './html.js'

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

function options(title, series, format, width, height, range) {
  const axis = { stroke: style('--muted'), grid: { stroke: style('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' }
  return {
    width, height, legend: { live: true }, cursor: { drag: { x: false, y: false }, sync: { key: 'panel' }, points: { size: 6 } },
    scales: { x: { time: true, range: range ? () => range : undefined }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] } },
    axes: [
      { ...axis, values: '{HH}:{mm}', space: 60, size: 24 },
      { ...axis, values: (_, ticks) => ticks.map((t) => (t === 0 ? '0' : format(t))), size: 58, space: 26 },
    ],
    series: [
      { label: 'at', value: '{HH}:{mm}:{ss}' },
      ...series.map((s) => ({ label: s.label, stroke: style(s.colour), width: 1.5, points: { show: false }, value: (_, v) => (v === null ? '–' : format(v)) })),
    ],
  }
}

export function Plot({ title, data, series, format, range, height = 116 }) {
  const at = useRef(null), plot = useRef(null)
  const theme = document.documentElement.dataset.theme ?? ''
  useEffect(() => {
    const width = at.current.clientWidth
    plot.current = new uPlot(options(title, series, format, width, height, range), data, at.current)
    const watcher = new ResizeObserver(() => plot.current?.setSize({ width: at.current.clientWidth, height }))
    watcher.observe(at.current)
    return () => {
      watcher.disconnect()
      plot.current.destroy()
      plot.current = null
    }
  }, [title, theme, range?.[0], range?.[1]])
  useEffect(() => plot.current?.setData(data), [data])
  return html`<figure class="plot" data-points=${data[0].length}><figcaption>${title}</figcaption><div class="plot-area" ref=${at}></div></figure>`
}
