// Lines: the list of traces that were kept, and one as a waterfall.
import { html, useMemo, useState } from '../html.js'
import { query as toQuery, useGet } from '../rest.js'
import { address, refine } from '../router.js'
import { clock, count, ms } from '../format.js'
import { traceCommands } from '../commands.js'
import { Commands, Field, Page, Scroll, Trouble, When } from '../parts.js'

export function Traces({ rest, query, fabric }) {
  return rest[0] ? html`<${One} key=${rest[0]} id=${rest[0]} fabric=${fabric} />` : html`<${List} query=${query} />`
}

const outcome = (o) => (o === 'ok' ? 'ok' : 'failing')
const stateOf = (t) => (!t.running ? t.outcome : t.outcome === 'ok' ? 'running' : t.outcome + ', running')

function List({ query }) {
  const whole = /^[^→]+→[^→]+→[^→]+$/.test(query.route ?? '') // the proxy looks for whole routes, the list here for parts
  const { data, error } = useGet('/v1/traces' + toQuery({ outcome: query.outcome, route: whole ? query.route : '', limit: 200 }), 4000)
  const words = (query.route ?? '').toLowerCase()
  const traces = (data?.traces ?? []).filter((t) => (whole || t.route.toLowerCase().includes(words)) && (!query.outcome || t.outcome === query.outcome))
  return html`<${Page} title="Lines" note="One message each, over all the workers that it came to. Kept are a sample, and all that failed or were slow." tools=${html`
      <${Field} label="Route" type="search" value=${query.route ?? ''} onInput=${(route) => refine({ route }, { replace: true })} placeholder="entry→add" />
      <label class="field"><span>Outcome</span><select value=${query.outcome ?? ''} onChange=${(e) => refine({ outcome: e.target.value })}>
        <option value="">any</option>${['ok', 'error', 'timeout', 'stop'].map((o) => html`<option key=${o} value=${o}>${o}</option>`)}</select></label>`}>
    <${Trouble} error=${error} what="the list of traces" />
    ${data && traces.length === 0 && html`<p class="note">${data.traces.length ? 'None matches.' : html`None was kept yet. <code>damrey trace FROM TYPE ARG…</code> sends a message and follows it.`}</p>`}
    ${traces.length > 0 && html`<${Scroll} label="Traces"><table><thead><tr><th>began</th><th>route</th><th>outcome</th><th class="n">took</th><th class="n">spans</th><th>kept as</th><th>trace</th></tr></thead>
      <tbody>${traces.map((t) => html`<tr key=${t.id}><td><${When} at=${t.begin} /></td><td>${t.route}</td><td><span class=${'badge ' + outcome(t.outcome)}>${stateOf(t)}</span></td>
        <td class="n">${ms(t.duration_ms)}</td><td class="n">${count(t.spans)}</td><td>${t.kept}</td><td><a href=${address(['traces', t.id])}><code>${t.id.slice(0, 16)}…</code></a></td></tr>`)}</tbody></table><//>`}
  <//>`
}

const kinds = ['send', 'forward', 'wait', 'handle'] // the order of what began in one moment

// beginOf is in milliseconds with their fraction, which a Date leaves out.
function beginOf(span) {
  const digits = /\.\d{3}(\d+)/.exec(span.begin)?.[1]
  return new Date(span.begin).getTime() + (digits ? Number('0.' + digits) : 0)
}

const failed = (span) => Boolean(span.error) || !['ok', 'stop'].includes(span.outcome)

// firstFailure is the span that failed before all others: who waits for it fails after it.
export function firstFailure(rows) {
  const end = (r) => beginOf(r) + r.duration_ms
  return rows.filter(failed).sort((a, b) => Number(!a.error) - Number(!b.error) || end(a) - end(b) || b.depth - a.depth)[0]
}

// arrange puts every span below the one that it is part of; one whose parent is missing stands at the left.
export function arrange(path) {
  const ids = new Set(path.map((s) => s.id)), children = new Map()
  for (const span of path) {
    const parent = span.parent && span.parent !== span.id && ids.has(span.parent) ? span.parent : ''
    ;(children.get(parent) ?? children.set(parent, []).get(parent)).push(span)
  }
  const rows = [], seen = new Set()
  const walk = (id, depth) => {
    const below = (children.get(id) ?? []).sort((a, b) => beginOf(a) - beginOf(b) || kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || a.hop - b.hop)
    for (const span of below) {
      if (seen.has(span.id)) continue
      seen.add(span.id)
      rows.push({ ...span, depth })
      walk(span.id, depth + 1)
    }
  }
  walk('', 0)
  for (const span of path) if (!seen.has(span.id)) rows.push({ ...span, depth: 0 }) // parents in a circle
  return rows
}

function One({ id, fabric }) {
  const { data, error } = useGet('/v1/traces/' + encodeURIComponent(id))
  const rows = useMemo(() => arrange(data?.path ?? []), [data])
  const failure = useMemo(() => firstFailure(rows), [rows])
  const slow = data && rows.find((r) => r.id === data.slowest)
  const begin = Math.min(...rows.map((r) => new Date(r.begin).getTime()))
  const end = Math.max(...rows.map((r) => new Date(r.begin).getTime() + r.duration_ms))
  const [open, toggle] = useState('')
  return html`<${Page} title="Line" note=${html`<a href=${address(['traces'])}>all lines</a> · <code>${id}</code>`}>
    <${Trouble} error=${error} what="this trace" />
    ${data && html`
      <dl class="facts across"><div><dt>route</dt><dd>${data.route}</dd></div><div><dt>outcome</dt><dd><span class=${'badge ' + outcome(data.outcome)}>${stateOf(data)}</span></dd></div>
        <div><dt>took</dt><dd>${ms(data.duration_ms)}</dd></div><div><dt>began</dt><dd>${clock(data.begin)}</dd></div><div><dt>kept as</dt><dd>${data.kept}</dd></div>
        ${slow && html`<div><dt>most time in</dt><dd>${slow.worker} ${slow.kind} (${ms(slow.own_ms)})</dd></div>`}</dl>
      ${failure && html`<div class="first-failure"><h2>First failure: ${failure.worker} ${failure.kind}</h2><pre class="error">${failure.error || failure.outcome}</pre></div>`}
      <ol class="waterfall" aria-label="Spans, each below the one that it is part of">${rows.map((r) => html`<${Row} key=${r.id} row=${r} begin=${begin} whole=${Math.max(end - begin, 0.001)}
        slow=${slow?.id === r.id} open=${open === r.id} onOpen=${() => toggle(open === r.id ? '' : r.id)} />`)}</ol>
      ${(data.kept === 'failed' || data.kept === 'slow') && html`<p class="note">It was not traced from its beginning: hops that neither failed nor were slow are missing, and their time is the send's.</p>`}
      <p class="note">Begins are by each machine's own clock; where clocks differ, bars are shifted.</p>
      <h2>The same in a terminal</h2><${Commands} lines=${traceCommands(id, fabric)} />`}
  <//>`
}

function Row({ row, begin, whole, slow, open, onOpen }) {
  const x = ((new Date(row.begin).getTime() - begin) / whole) * 1000
  const width = Math.max(3, (row.duration_ms / whole) * 1000)
  const bad = failed(row)
  return html`<li class=${(bad ? 'bad' : row.kind) + (slow ? ' slow' : '')}>
    <button type="button" aria-expanded=${open} onClick=${onOpen}>
      <span class=${'span-name depth-' + Math.min(row.depth, 8)}><b>${row.worker}</b> ${row.kind} <span class="muted">${row.kind === 'handle' || row.kind === 'wait' ? row.type : `${row.type} → ${row.to}`}</span></span>
      <svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true"><rect x=${Math.min(x, 997)} width=${Math.min(width, 1000)} y="1" height="8" /></svg>
      <span class="span-time">${ms(row.duration_ms)}</span>
      ${row.error && html`<span class=${'span-error depth-' + Math.min(row.depth, 8)}>${row.error}</span>`}
    </button>
    ${open && html`<dl class="facts across"><div><dt>route</dt><dd>${row.from}→${row.type}→${row.to}</dd></div><div><dt>hop</dt><dd>${row.hop}</dd></div><div><dt>instance</dt><dd>${row.instance}</dd></div>
      <div><dt>began</dt><dd>${clock(row.begin)}</dd></div><div><dt>own time</dt><dd>${ms(row.own_ms)}</dd></div><div><dt>outcome</dt><dd>${row.outcome}</dd></div>${row.error && html`<div class="whole"><dt>error</dt><dd><pre class="error" tabindex="0">${row.error}</pre></dd></div>`}</dl>`}
  </li>`
}
