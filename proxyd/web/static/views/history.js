// What was: the last errors of routes, and plots of routes or of an instance.
import { html, useEffect, useMemo, useState } from '../html.js'
import { get, query } from '../rest.js'
import { address } from '../router.js'
import { ms, rate, routeOf, short } from '../format.js'
import { Ago, Trouble } from '../parts.js'
import { Plot } from '../plot.js'
import { columns, errorsOf, gather, smooth } from '../series.js'

const MEAN = 3 // steps that a rate is of: beats come about once a step, so that one may have none and the next two
const MOST = 8 // routes of one worker whose series are added up

const spans = { '-15m': '15 min', '-1h': '1 h', '-6h': '6 h', '-24h': '24 h' }

export function RouteHistory({ routes }) {
  const [from, choose] = useState('-15m')
  const shown = routes.slice().sort((a, b) => b.rate - a.rate).slice(0, MOST)
  const { answers, error } = useStats(shown.map((r) => query({ from, route: routeOf(r) })).sort())
  if (!routes.length) return null
  return html`<${LastErrors} errors=${errorsOf(answers, routes)} told=${routes.length > 1} />
    <h3>Over time</h3>
    <p class="choice" role="group" aria-label="How far back">${Object.entries(spans).map(([value, label]) => html`<button type="button" key=${value}
      aria-pressed=${from === value} onClick=${() => choose(value)}>${label}</button>`)}</p>
    ${routes.length > MOST && html`<p class="note">Of the ${MOST} busiest of ${routes.length} routes.</p>`}
    <${Plots} answers=${answers} error=${error} />`
}

// InstanceHistory is of 15 minutes: no more is kept of an instance.
export function InstanceHistory({ worker, instance }) {
  const { answers, error } = useStats([query({ worker, instance })])
  return html`<h3>The last 15 minutes</h3><${Plots} answers=${answers} error=${error} />`
}

function LastErrors({ errors, told }) {
  if (!errors.length) return null
  return html`<h3>Last errors</h3>
    <ul class="errors">${errors.map((e, n) => html`<li key=${n}>
      <p class="chips">${e.at && html`<${Ago} at=${e.at} />`}${e.code && html`<span class="badge failing">${e.code}</span>`}${told && html`<span>${e.from} → ${e.type}</span>`}
        ${e.instance && html`<a href=${address(['workers'], { worker: e.to, id: e.instance })} aria-label=${'Instance ' + e.instance}>${e.instance.slice(0, 8)}</a>`}</p>
      <pre class="error" tabindex="0">${e.text}</pre></li>`)}</ul>`
}

function Plots({ answers, error }) {
  const { data, step, durable, loaded, range, many } = useMemo(() => gather(answers), [answers])
  const rates = useMemo(() => columns(step < 60 ? smooth(data, step, MEAN, ['handled', 'failed']) : data, step, [(p) => p.handled / step, (p) => p.failed / step]), [data])
  const stays = useMemo(() => columns(data, step, [(p) => p.p50_ms, (p) => p.p95_ms, (p) => p.p99_ms]), [data])
  if (error && !answers) return html`<${Trouble} error=${error} what="history" />`
  return html`<div class="plots">
    <${Plot} title=${step < 60 ? `Rate and errors, mean of the last ${MEAN * step} s` : 'Rate and errors'} format=${(n) => rate(n)} range=${range} series=${[{ label: 'handled', colour: '--accent' }, { label: 'failed', colour: '--bad' }]} data=${rates} />
    <${Plot} title=${'How long messages stay' + (many > 1 ? `: at each time the worst of ${many} routes` : '')} format=${(n) => ms(n)} range=${range} series=${[{ label: 'p50', colour: '--accent' }, { label: 'p95', colour: '--warn' }, { label: 'p99', colour: '--bad' }]} data=${stays} />
    ${durable && html`<${Plot} title="Stored" format=${(n) => short(n)} range=${range} series=${[{ label: 'stored', colour: '--ok' }]}
      data=${columns(data, step, [(p) => p.stored])} />`}
    ${loaded && html`<${Plot} title="In hand" format=${(n) => short(n)} range=${range} series=${[{ label: 'in flight', colour: '--accent' }, { label: 'queued', colour: '--warn' }]}
      data=${columns(data, step, [(p) => p.in_flight, (p) => p.queued])} />`}
  </div>`
}

// useStats asks for series by their queries, and again every ten seconds.
function useStats(queries) {
  const [state, set] = useState({ answers: null, error: null })
  const asked = queries.join('\n')
  useEffect(() => {
    if (!asked) return undefined
    const controller = new AbortController()
    let timer = 0
    const load = async () => {
      try {
        const answers = await Promise.all(asked.split('\n').map((q) => get('/v1/stats' + q, controller.signal)))
        set({ answers, error: null })
      } catch (error) {
        if (error.name === 'AbortError') return
        set((was) => ({ ...was, error }))
      }
      timer = setTimeout(load, 10000)
    }
    load()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [asked])
  return state
}
