// Live messages. The proxy asks the instances for copies while this view is open; nobody subscribes to the messages
// themselves. Arguments do not leave the instances until they are asked for.
import { html, useEffect, useRef, useState } from '../html.js'
import { query as toQuery } from '../rest.js'
import { refine } from '../router.js'
import { stream } from '../stream.js'
import { clock, count, ms } from '../format.js'
import { Field, Page, Scroll, Trouble } from '../parts.js'

const KEPT = 500
const bad = new Set(['error', 'timeout', 'busy'])

export function Tap({ query }) {
  const [running, run] = useState(true)
  const [{ rows, left, missed }, show] = useState({ rows: [], left: 0, missed: 0 })
  const [error, fail] = useState(null)
  const number = useRef(0)
  const filter = { from: query.from, type: query.type, to: query.to, sample: query.sample, rate: query.rate ?? '20', args: query.args === '1' ? 'true' : '' }
  const path = '/v1/tap' + toQuery(filter)

  useEffect(() => {
    if (!running) return undefined
    let waiting = [], frame = 0
    const flush = () => {
      frame = 0
      const fresh = waiting.reverse()
      waiting = []
      show((was) => ({
        rows: [...fresh, ...was.rows].slice(0, KEPT),
        left: was.left + fresh.reduce((n, c) => n + (c.skipped ?? 0), 0),
        missed: was.missed + Math.max(0, fresh.length + was.rows.length - KEPT),
      }))
    }
    const stop = stream(path, {
      onOpen: () => fail(null),
      onDown: fail,
      onEvent: ({ data }) => {
        let copy
        try {
          copy = JSON.parse(data)
        } catch {
          return // a line that is no copy has nothing to show
        }
        if (!copy.outcome) return
        waiting.push({ ...copy, key: ++number.current })
        if (waiting.length > KEPT) waiting.shift()
        frame ||= setTimeout(flush, 150)
      },
    })
    return () => {
      clearTimeout(frame)
      stop()
    }
  }, [path, running])

  const input = (name, label, placeholder) => html`<${Field} label=${label} value=${query[name] ?? ''} placeholder=${placeholder} onInput=${(v) => refine({ [name]: v.trim() }, { replace: true })} />`
  const tools = html`
    ${input('from', 'From', 'any worker')}${input('type', 'Type', 'any')}${input('to', 'To', 'any worker')}
    <label class="field narrow"><span>At most</span><select value=${query.rate ?? '20'} onChange=${(e) => refine({ rate: e.target.value }, { replace: true })}>
      ${['5', '20', '100', '500'].map((n) => html`<option key=${n} value=${n}>${n}/s</option>`)}</select></label>
    <label class="check"><input type="checkbox" checked=${query.args === '1'} onChange=${(e) => refine({ args: e.target.checked ? '1' : '' }, { replace: true })} /> arguments</label>
    <button type="button" class="main" aria-pressed=${!running} onClick=${() => run(!running)}>${running ? 'Pause' : 'Go on'}</button>
    <button type="button" onClick=${() => show({ rows: [], left: 0, missed: 0 })}>Clear</button>`
  return html`<${Page} title="Live tap" tools=${tools} note="Copies of messages as the instances that handle them see them, the newest first. What goes to a program without the library is not seen.">
    <${Trouble} error=${error} what="the live tap" />
    <p class="note" role="status">${running ? (error ? 'Not connected.' : 'Listening.') : 'Paused.'} ${count(rows.length)} shown${left ? `, ${count(left)} left out because of the rate` : ''}${missed ? `, ${count(missed)} older ones gone` : ''}.</p>
    <${Scroll} label="Messages"><table class="tap"><thead><tr><th>at</th><th>from</th><th>type</th><th>to</th>${filter.args && html`<th>arguments</th>`}<th>outcome</th><th class="n">waited</th><th class="n">worked</th></tr></thead>
      <tbody>${rows.map((c) => html`<tr key=${c.key}><td class="time">${clock(c.at)}</td><td>${c.from}</td><td>${c.type}</td><td title=${c.instance}>${c.to}</td>
        ${filter.args && html`<td class="words"><code>${c.args ? c.args.map((a) => JSON.stringify(a)).join(' ') : '–'}</code></td>`}
        <td><span class=${'badge ' + (bad.has(c.outcome) ? 'failing' : 'ok')} title=${c.error ?? ''}>${c.outcome}</span> ${c.error && html`<span class="words muted">${c.error}</span>`}</td>
        <td class="n">${ms(c.wait_ms)}</td><td class="n">${ms(c.work_ms)}</td></tr>`)}</tbody></table><//>
  <//>`
}
