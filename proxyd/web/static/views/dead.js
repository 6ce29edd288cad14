// Dead letters: by their error, each with its message; sent again as they are or changed, or removed for good.
import { html, useEffect, useMemo, useState } from '../html.js'
import { get, query as toQuery, send, useGet } from '../rest.js'
import { address, refine } from '../router.js'
import { count } from '../format.js'
import { Confirm, Field, Page, Scroll, Trouble, When } from '../parts.js'

const LIMIT = 200

export function Dead({ rest, query, readOnly }) {
  const filter = { worker: query.worker, type: query.type, from: query.from, error: query.error, limit: LIMIT }
  const { data, error, reload } = useGet('/v1/dead' + toQuery({ ...filter, after: query.after }), 5000)
  const [chosen, choose] = useState(new Set())
  const [asking, ask] = useState(null)
  const [said, say] = useState('')
  const letters = data?.letters ?? []
  const groups = useMemo(() => group(letters), [data])
  useEffect(() => choose((was) => new Set([...was].filter((s) => letters.some((l) => l.sequence === s)))), [data])
  const toggle = (sequences, on) => choose((was) => {
    const next = new Set(was)
    for (const s of sequences) on ? next.add(s) : next.delete(s)
    return next
  })
  const done = (words) => {
    say(words)
    choose(new Set())
    reload()
  }
  const selected = letters.filter((l) => chosen.has(l.sequence))
  const open = (what, list) => ask({ what, letters: list })
  const input = (name, label) => html`<${Field} label=${label} value=${query[name] ?? ''} onInput=${(v) => refine({ [name]: v.trim(), after: '' }, { replace: true })} placeholder="any" />`
  const tools = html`${input('worker', 'Worker')}${input('type', 'Type')}${input('from', 'From')}<${Field} label="Error holds" type="search" value=${query.error ?? ''} onInput=${(v) => refine({ error: v, after: '' }, { replace: true })} placeholder="any text" />`
  return html`<${Page} title="Dead letters" tools=${tools} note="Stored messages that failed too often. They are kept for 30 days.">
    <${Trouble} error=${error} what="dead letters" />
    ${rest[0] && html`<${Letter} key=${rest[0]} sequence=${rest[0]} query=${query} readOnly=${readOnly} onAsk=${open} />`}
    <div class="actions">
      ${!readOnly && html`<button type="button" class="main" disabled=${!selected.length} onClick=${() => open('retry', selected)}>Retry ${selected.length || ''}</button>
      <button type="button" class="danger" disabled=${!selected.length} onClick=${() => open('purge', selected)}>Purge ${selected.length || ''}…</button>`}
      <p class="note" role="status">${said || (data ? `${count(letters.length)} shown${data.next ? ', there are more' : ''}; ${count(data.total)} in all.` : '')}</p>
      ${data?.next > 0 && html`<a class="button" href=${address(['dead'], { ...query, after: data.next })}>Next</a>`}
    </div>
    ${data && letters.length === 0 && html`<p class="note">${data.total ? 'None matches.' : 'None: nothing that was stored has failed for good.'}</p>`}
    ${groups.map((g) => html`<${Group} key=${g.error} group=${g} chosen=${chosen} onToggle=${toggle} query=${query} readOnly=${readOnly} onAsk=${open} />`)}
    ${asking && asking.what === 'edit' && html`<${Edit} letter=${asking.letters[0]} onDone=${done} onClose=${() => ask(null)} />`}
    ${asking && asking.what !== 'edit' && html`<${Act} ...${asking} onDone=${done} onClose=${() => ask(null)} />`}
  <//>`
}

// group puts letters together whose errors differ in numbers alone.
export function group(letters) {
  const groups = new Map()
  for (const l of letters) {
    const like = l.error.replace(/[0-9a-f]{8,}|\d+/gi, '#')
    const g = groups.get(like) ?? groups.set(like, { error: like, first: l.error, letters: [] }).get(like)
    g.letters.push(l)
  }
  return [...groups.values()].sort((a, b) => b.letters.length - a.letters.length)
}

const routeOf = (l) => `${l.from}→${l.type}→${l.worker}`
const messageOf = (l) => (l.message ? l.message.slice(2).map((a) => JSON.stringify(a)).join(' ') : `${count(l.size)} bytes`)

function Group({ group: g, chosen, onToggle, query, readOnly, onAsk }) {
  const all = g.letters.every((l) => chosen.has(l.sequence))
  const sequences = g.letters.map((l) => l.sequence)
  return html`<section class="card dead-group">
    <div class="group-head"><h2>${g.letters.length === 1 ? g.first : g.error}</h2><span class="badge failing">${count(g.letters.length)}</span>
      ${!readOnly && html`<button type="button" onClick=${() => onAsk('retry', g.letters)}>Retry all ${g.letters.length > 1 ? count(g.letters.length) : ''}</button>`}</div>
    <${Scroll} label=${'Dead letters: ' + g.error}><table><thead><tr>
      ${!readOnly && html`<th><input type="checkbox" aria-label="Choose all of this error" checked=${all} onChange=${(e) => onToggle(sequences, e.target.checked)} /></th>`}
      <th class="n">letter</th><th>route</th><th>arguments</th><th class="n">failures</th><th>since</th><th><span class="unseen">Actions</span></th></tr></thead>
      <tbody>${g.letters.map((l) => html`<tr key=${l.sequence}>
        ${!readOnly && html`<td><input type="checkbox" aria-label=${'Choose letter ' + l.sequence} checked=${chosen.has(l.sequence)} onChange=${(e) => onToggle([l.sequence], e.target.checked)} /></td>`}
        <td class="n"><a href=${address(['dead', String(l.sequence)], query)}>${l.sequence}</a></td><td>${routeOf(l)}</td><td class="words"><code>${messageOf(l)}</code></td><td class="n">${l.failures}</td><td><${When} at=${l.time} /></td>
        <td class="row-buttons">${!readOnly && html`<button type="button" onClick=${() => onAsk('retry', [l])} aria-label=${'Retry letter ' + l.sequence}>Retry</button>
          ${l.message && html`<button type="button" onClick=${() => onAsk('edit', [l])} aria-label=${'Edit letter ' + l.sequence}>Edit</button>`}`}</td></tr>`)}</tbody></table><//>
  </section>`
}

function Letter({ sequence, query, readOnly, onAsk }) {
  const { data, error } = useGet('/v1/dead/' + encodeURIComponent(sequence))
  return html`<section class="card"><div class="panel-head"><h2>Letter ${sequence}</h2><a class="button quiet" aria-label="Close" href=${address(['dead'], query)}>×</a></div>
    <${Trouble} error=${error} what=${`letter ${sequence}`} />
    ${data && html`<pre class="error" tabindex="0">${data.error}</pre>
      <dl class="facts across"><div><dt>route</dt><dd>${routeOf(data)}</dd></div><div><dt>id</dt><dd>${data.id}</dd></div><div><dt>instance</dt><dd>${data.instance}</dd></div><div><dt>failures</dt><dd>${data.failures}</dd></div>
        <div><dt>handed out</dt><dd>${data.delivered}</dd></div><div><dt>since</dt><dd><${When} at=${data.time} /></dd></div></dl>
      <details><summary>Message (${count(data.size)} bytes)</summary><pre tabindex="0">${data.message ? JSON.stringify(data.message, null, 1) : data.payload}</pre></details>
      <details><summary>Headers</summary><pre tabindex="0">${Object.entries(data.headers).map(([k, v]) => `${k}: ${v.join(', ')}`).join('\n')}</pre></details>
      ${!readOnly && html`<p class="buttons"><button type="button" class="main" onClick=${() => onAsk('retry', [data])}>Retry</button>
        ${data.message && html`<button type="button" onClick=${() => onAsk('edit', [data])}>Edit and retry</button>`}<button type="button" class="danger" onClick=${() => onAsk('purge', [data])}>Purge…</button></p>`}`}
  </section>`
}

// Act retries or purges letters one after another, and says which of them stay and why.
function Act({ what, letters, onDone, onClose }) {
  const act = async () => {
    let through = 0
    const failed = []
    for (const l of letters) {
      try {
        if (what === 'retry') await send('POST', `/v1/dead/${l.sequence}/retry`)
        else await send('DELETE', `/v1/dead/${l.sequence}`)
        through++
      } catch (error) {
        failed.push(`letter ${l.sequence}: ${error.message}`)
        if (error.status === 0) break
      }
    }
    onDone(`${count(through)} ${what === 'retry' ? 'sent again' : 'removed'}${failed.length ? `, ${failed.length} not` : ''}.`)
    if (failed.length) throw new Error(failed.slice(0, 5).join('\n') + (failed.length > 5 ? `\nand ${failed.length - 5} more` : ''))
  }
  const many = letters.length === 1 ? `letter ${letters[0].sequence}` : `${count(letters.length)} letters`
  return html`<${Confirm} title=${`${what === 'retry' ? 'Retry' : 'Purge'} ${many}`} act=${act} danger=${what === 'purge'} label=${what === 'retry' ? 'Retry' : 'Purge for good'} onClose=${onClose}>
    <p>${what === 'retry' ? 'Sent along the route that its sender has today, and removed here once it is stored or taken.' : 'Removed for good. This cannot be undone.'}</p>
    <ul class="names">${letters.slice(0, 8).map((l) => html`<li key=${l.sequence}>${l.sequence} · ${routeOf(l)}</li>`)}${letters.length > 8 && html`<li>and ${letters.length - 8} more</li>`}</ul>
  <//>`
}

function Edit({ letter, onDone, onClose }) {
  const [type, setType] = useState(letter.message[1] ?? letter.type)
  const [args, setArgs] = useState(null)
  const [again, setAgain] = useState(true)
  const [error, fail] = useState(null)
  useEffect(() => { // the whole message; a list shortens nothing, but it may have changed
    get('/v1/dead/' + letter.sequence).then((d) => { setArgs(d.message.slice(2)); setType(d.message[1]) }, fail)
  }, [])
  const act = async () => {
    const edited = await send('PATCH', `/v1/dead/${letter.sequence}`, { type, args })
    if (again) {
      try {
        await send('POST', `/v1/dead/${edited.sequence}/retry`)
      } catch (error) {
        onDone(`Letter ${letter.sequence} is changed and is ${edited.sequence} now, but was not sent.`)
        throw error
      }
    }
    onDone(again ? `Letter ${letter.sequence} was changed and sent again.` : `Letter ${letter.sequence} is changed and is ${edited.sequence} now.`)
  }
  const change = (i, v) => setArgs(args.map((a, j) => (j === i ? v : a)))
  return html`<${Confirm} title=${`Edit letter ${letter.sequence}`} act=${act} label=${again ? 'Change and retry' : 'Change'} disabled=${!args} onClose=${onClose}>
    <${Trouble} error=${error} what=${`letter ${letter.sequence}`} />
    <${Field} label="Type" value=${type} onInput=${setType} />
    ${(args ?? []).map((a, i) => html`<div class="argument" key=${i}><label class="field"><span>Argument ${i}</span><textarea rows=${a.length > 60 ? 4 : 1} value=${a} onInput=${(e) => change(i, e.target.value)}></textarea></label>
      <button type="button" class="quiet" aria-label=${'Remove argument ' + i} onClick=${() => setArgs(args.filter((_, j) => j !== i))}>×</button></div>`)}
    <p><button type="button" onClick=${() => setArgs([...(args ?? []), ''])}>Add an argument</button></p>
    <label class="check"><input type="checkbox" checked=${again} onChange=${(e) => setAgain(e.target.checked)} /> send it again at once</label>
  <//>`
}
