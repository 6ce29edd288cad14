// Alarms, who takes care of them, and what is silenced.
import { html, useState } from '../html.js'
import { send, useGet } from '../rest.js'
import { address, refine } from '../router.js'
import { ago, clock, isTime, short } from '../format.js'
import { addressed } from '../commands.js'
import { Commands, Confirm, Field, Page, Scroll, Trouble, When } from '../parts.js'

const remembered = () => {
  try {
    return localStorage.getItem('damrey.by') ?? ''
  } catch {
    return ''
  }
}

function remember(by) {
  try {
    localStorage.setItem('damrey.by', by)
  } catch {
    // a browser that keeps nothing is asked again
  }
}

export function Alarms({ query, fabric, readOnly }) {
  const { data, error, reload } = useGet('/v1/alarms', 2000)
  const silences = useGet('/v1/silences', 5000)
  const [asking, ask] = useState(null)
  const state = query.state ?? ''
  const alarms = (data?.alarms ?? []).filter((a) => (!state || a.state === state) && (!query.worker || a.worker === query.worker))
  const again = () => {
    reload()
    silences.reload()
  }
  const lift = async (action) => {
    try {
      await action()
    } finally {
      again()
    }
  }
  const tally = (s) => (data?.alarms ?? []).filter((a) => !s || a.state === s).length
  return html`<${Page} title="Alarms" tools=${html`<p class="choice" role="group" aria-label="State">${[['', 'all'], ['firing', 'firing'], ['pending', 'pending'], ['resolved', 'resolved']].map(([value, label]) => html`<button type="button" key=${value}
      aria-pressed=${state === value} onClick=${() => refine({ state: value })}>${label} ${data ? tally(value) : ''}</button>`)}</p>
      ${query.worker && html`<button type="button" onClick=${() => refine({ worker: '' })}>${query.worker} only ×</button>`}
      ${!readOnly && html`<button type="button" onClick=${() => ask({ what: 'silence', alarm: {} })}>Silence…</button>`}`}>
    <${Trouble} error=${error} what="alarms" />
    ${data && alarms.length === 0 && html`<p class="calm">${state || query.worker ? 'None.' : 'All is well: nothing fires.'}</p>`}
    <ul class="alarms">${alarms.map((a) => html`<${Alarm} key=${a.id} alarm=${a} fabric=${fabric} readOnly=${readOnly} onAsk=${ask} onUnack=${() => lift(() => send('DELETE', `/v1/alarms/${encodeURIComponent(a.id)}/ack`))} />`)}</ul>
    <h2>Silences</h2>
    <${Trouble} error=${silences.error} what="silences" />
    ${silences.data && (listOf(silences.data).length === 0 ? html`<p class="note">None.</p>` : html`<${Scroll} label="Silences"><table><thead><tr><th>rule</th><th>worker</th><th>by</th><th>why</th><th>until</th><th><span class="unseen">Actions</span></th></tr></thead>
      <tbody>${listOf(silences.data).map((s) => html`<tr key=${s.id}><td>${s.rule || 'any'}</td><td>${s.worker || 'any'}</td><td>${s.by}</td><td class="words">${s.why}</td><td><${When} at=${s.until} /></td>
        <td class="row-buttons">${!readOnly && html`<button type="button" onClick=${() => lift(() => send('DELETE', `/v1/silences/${encodeURIComponent(s.id)}`))}>Lift</button>`}</td></tr>`)}</tbody></table><//>`)}
    ${asking?.what === 'ack' && html`<${Acknowledge} alarm=${asking.alarm} onDone=${again} onClose=${() => ask(null)} />`}
    ${asking?.what === 'silence' && html`<${SilenceForm} alarm=${asking.alarm} onDone=${again} onClose=${() => ask(null)} />`}
  <//>`
}

const figure = (n) => (Math.abs(n) < 10 ? String(Number(n.toPrecision(3))) : short(n))

const listOf = (document) => (Array.isArray(document) ? document : document.silences ?? [])

function Alarm({ alarm: a, fabric, readOnly, onAsk, onUnack }) {
  return html`<li class=${`alarm ${a.state} ${a.severity}`}>
    <p class="chips"><span class=${'badge ' + (a.state !== 'firing' ? '' : a.severity === 'critical' ? 'failing' : a.severity === 'warning' ? 'degraded' : 'ok')}>${a.state === 'firing' ? a.severity : a.state}</span>
      <span class="muted">${a.rule}</span><span class="muted">since <${When} at=${a.since} /> (${ago(a.since)})</span>${a.count > 1 && html`<span class="muted">${a.count} times in a day</span>`}</p>
    <p class="alarm-text">${a.text}</p>
    ${a.limit > 0 && html`<p class="muted">measured ${figure(a.value ?? 0)}, limit ${figure(a.limit)}</p>`}
    ${a.acked && html`<p class="muted">seen by ${a.acked.by}${isTime(a.acked.at) ? ' ' + clock(a.acked.at) : ''}${a.acked.why ? ': ' + a.acked.why : ''}</p>`}
    ${a.silenced && html`<p class="muted">silenced by ${a.silenced.by} until ${clock(a.silenced.until)}: ${a.silenced.why}</p>`}
    ${a.do && html`<${Commands} lines=${[addressed(a.do, fabric)]} />`}
    ${a.hint && html`<p class="muted hint">${a.hint}</p>`}
    <p class="buttons">${a.worker && html`<a class="button" href=${address([], { node: a.worker })}>Show in the network</a>`}
      ${!readOnly && a.state !== 'resolved' && (a.acked ? html`<button type="button" onClick=${onUnack}>Take back</button>` : html`<button type="button" class="main" onClick=${() => onAsk({ what: 'ack', alarm: a })}>Acknowledge</button>`)}
      ${!readOnly && a.state !== 'resolved' && !a.silenced && html`<button type="button" onClick=${() => onAsk({ what: 'silence', alarm: a })}>Silence…</button>`}</p>
  </li>`
}

function Acknowledge({ alarm, onDone, onClose }) {
  const [by, setBy] = useState(remembered())
  const [why, setWhy] = useState('')
  const act = async () => {
    await send('POST', `/v1/alarms/${encodeURIComponent(alarm.id)}/ack`, { by, ...(why && { why }) })
    remember(by)
    onDone()
  }
  return html`<${Confirm} title="Acknowledge" act=${act} label="Acknowledge" disabled=${!by.trim()} onClose=${onClose}>
    <p>${alarm.text}</p>
    <${Field} label="Who" value=${by} onInput=${setBy} required maxlength="100" /><${Field} label="What is done about it" value=${why} onInput=${setWhy} maxlength="1000" />
  <//>`
}

const times = { '30 min': 30, '2 h': 120, '8 h': 480, '1 day': 1440, '1 week': 10080 }

function SilenceForm({ alarm, onDone, onClose }) {
  const [by, setBy] = useState(remembered())
  const [why, setWhy] = useState('')
  const [rule, setRule] = useState(alarm.rule ?? '')
  const [worker, setWorker] = useState(alarm.worker ?? '')
  const [minutes, setMinutes] = useState(120)
  const act = async () => {
    const until = new Date(Date.now() + minutes * 60000).toISOString()
    await send('POST', '/v1/silences', { by, why, until, ...(rule && { rule }), ...(worker && { worker }) })
    remember(by)
    onDone()
  }
  return html`<${Confirm} title="Silence" act=${act} label="Silence" disabled=${!by.trim() || !why.trim()} onClose=${onClose}>
    <p>Nobody is told of what matches until then; it is still shown here.</p>
    <${Field} label="Rule" value=${rule} onInput=${setRule} placeholder="any" /><${Field} label="Worker" value=${worker} onInput=${setWorker} placeholder="any" />
    <label class="field"><span>For</span><select value=${minutes} onChange=${(e) => setMinutes(Number(e.target.value))}>${Object.entries(times).map(([label, n]) => html`<option key=${n} value=${n}>${label}</option>`)}</select></label>
    <${Field} label="Who" value=${by} onInput=${setBy} required maxlength="100" /><${Field} label="Why" value=${why} onInput=${setWhy} required maxlength="1000" />
  <//>`
}
