// The routing table: who sends which messages where.
import { html, useState } from '../html.js'
import { send, useGet } from '../rest.js'
import { address, refine } from '../router.js'
import { workerCommands } from '../commands.js'
import { Commands, Confirm, Field, Mpu, Page, Scroll, Trouble, When } from '../parts.js'

const number = (v) => (v === undefined || v === '' ? '' : String(v))

export function Table({ rest, query, fabric, readOnly }) {
  const { data, error, reload } = useGet('/v1/workers', 4000)
  const words = (query.q ?? '').toLowerCase()
  const matches = (w) => !words || JSON.stringify(w).toLowerCase().includes(words)
  const workers = (data?.workers ?? []).filter(matches)
  const one = rest[0] && data?.workers.find((w) => w.name === rest[0])
  return html`<${Page} title="Table" note="Each row: messages of this type that the worker sends go there."
    tools=${html`<${Field} label="Filter" type="search" value=${query.q ?? ''} onInput=${(q) => refine({ q }, { replace: true })} placeholder="any text" />`}>
    <${Trouble} error=${error} what="the table" />
    ${rest[0] && data && html`<section class="card"><div class="panel-head"><h2>${rest[0]}</h2><a class="button quiet" aria-label="Close" href=${address(['table'], query)}>×</a></div>
      ${one ? html`<pre tabindex="0">${JSON.stringify(one, null, 2)}</pre>` : html`<p class="note">It is not registered now.</p>`}
      <${History} key=${rest[0]} worker=${rest[0]} readOnly=${readOnly} onUndone=${reload} /><${Commands} lines=${workerCommands(rest[0], fabric)} /></section>`}
    ${data?.damaged?.map((d) => html`<p class="trouble" key=${d.name}>The entry ${d.name} cannot be read: ${d.problem}</p>`)}
    ${data && workers.length === 0 && html`<p class="note">${data.workers.length ? 'None matches.' : 'The table is empty.'}</p>`}
    ${workers.length > 0 && html`<${Scroll} label="Table"><table class="routes"><thead><tr><th>worker</th><th class="n">mpu</th><th>agent</th><th>type</th><th>goes to</th><th>delivery</th><th class="n">revision</th><th>changed</th></tr></thead>
      ${workers.map((w) => html`<${Rows} key=${w.name} worker=${w} query=${query} />`)}</table><//>`}
  <//>`
}

// History is what the entry was before. Each revision can be put back, also of a worker that was deleted; not over what
// somebody has changed since it was chosen.
function History({ worker, readOnly, onUndone }) {
  const { data, error, reload } = useGet(`/v1/workers/${encodeURIComponent(worker)}/history`, 4000)
  const [asking, ask] = useState(null)
  const undo = async () => {
    const { registration, newest } = asking
    await send('PUT', `/v1/workers/${encodeURIComponent(worker)}`, registration, newest.deleted ? { 'If-None-Match': '*' } : { 'If-Match': `"${newest.revision}"` })
    ask(null)
    reload()
    onUndone()
  }
  return html`<h3>Who was routed where, and when</h3>${error?.status === 404 ? html`<p class="note">${error.message}</p>` : html`<${Trouble} error=${error} what="the history" />`}
    ${data && html`<${Scroll} label="History"><table class="history"><thead><tr><th class="n">revision</th><th>stored</th><th>change</th><th><span class="unseen">Actions</span></th></tr></thead>
      <tbody>${data.revisions.map((r, i) => html`<tr key=${r.revision}><td class="n">${r.revision}</td><td><${When} at=${r.at} /></td>
        <td class="words">${r.problem ? `cannot be read: ${r.problem}` : r.changes.join('; ') || '–'}</td>
        <td class="row-buttons">${!readOnly && i > 0 && r.registration && html`<button type="button" onClick=${() => ask({ ...r, newest: data.revisions[0] })} aria-label=${'Put back revision ' + r.revision}>Put back</button>`}</td></tr>`)}</tbody></table><//>`}
    ${asking && html`<${Confirm} title=${`Put back revision ${asking.revision} of ${worker}`} act=${undo} label="Put back" onClose=${() => ask(null)}>
      <p>Running instances follow at once. To undo it, put back what is there now.</p><pre tabindex="0">${JSON.stringify(asking.registration, null, 2)}</pre><//>`}`
}

function Rows({ worker: w, query }) {
  const commands = w.commands?.length ? w.commands : [null]
  return html`<tbody>${commands.map((c, i) => html`<tr key=${i}>
    ${i === 0 && html`<th scope="rowgroup" rowspan=${commands.length}><a href=${address(['table', w.name], query)}>${w.name}</a>${w.paused && html` <span class="badge">paused</span>`}</th>
      <td class="n" rowspan=${commands.length}><${Mpu} mpu=${w.mpu} /></td><td rowspan=${commands.length}>${w.agent || 'any'}</td>`}
    ${c ? html`<td>${c.name}</td><td><a href=${address([], { edge: `${w.name}→${c.worker}` })}>${c.worker}</a>${c.paused && html` <span class="badge">paused</span>`}</td><td>${c.delivery || 'direct'}${detail(c)}</td>`
      : html`<td class="muted" colspan="3">sends nothing</td>`}
    ${i === 0 && html`<td class="n" rowspan=${commands.length}>${w.revision}</td><td rowspan=${commands.length}><${When} at=${w.updated} /></td>`}
  </tr>`)}</tbody>`
}

function detail(c) {
  const said = ['key', 'attempts', 'backoff', 'window', 'batch'].filter((k) => number(c[k]) !== '' && c[k] !== 0).map((k) => `${k} ${number(c[k])}`)
  return said.length ? html` <span class="muted">${said.join(', ')}</span>` : null
}
