// What happened, as it happens.
import { html, useEffect, useRef, useState } from '../html.js'
import { address, refine } from '../router.js'
import { stream } from '../stream.js'
import { count } from '../format.js'
import { Field, Page, Scroll, Trouble, When } from '../parts.js'

const KEPT = 500
const SILENT = 1000 // what has happened follows the begin of the answer at once; after this there is nothing
const bad = new Set(['instance.lost', 'agent.lost', 'undelivered', 'alarm.firing', 'beat.refused', 'stream.deleted', 'gap'])
const good = new Set(['instance.joined', 'agent.joined', 'alarm.resolved'])

export function Events({ query }) {
  const [events, show] = useState([])
  const [error, fail] = useState(null)
  const [answered, answer] = useState(false)
  const seen = useRef(new Set())
  useEffect(() => {
    let waiting = [], frame = 0, silent = 0
    const flush = () => {
      frame = 0
      const fresh = waiting.reverse()
      waiting = []
      answer(true)
      show((was) => [...fresh, ...was].slice(0, KEPT))
    }
    const stop = stream('/v1/events?last=200', {
      onOpen: () => {
        silent = setTimeout(() => answer(true), SILENT)
        fail(null)
      },
      onDown: (error) => {
        clearTimeout(silent)
        fail(error)
      },
      onEvent: ({ data }) => {
        let event
        try {
          event = JSON.parse(data)
        } catch {
          return // nothing that could be shown
        }
        if (seen.current.has(event.id)) return
        seen.current.add(event.id)
        if (seen.current.size > 4 * KEPT) seen.current = new Set([...seen.current].slice(-KEPT))
        waiting.push(event)
        frame ||= setTimeout(flush, 100)
      },
    })
    return () => {
      clearTimeout(frame)
      clearTimeout(silent)
      stop()
    }
  }, [])
  const words = (query.q ?? '').toLowerCase()
  const shown = events.filter((e) => (!query.kind || e.kind.startsWith(query.kind)) && (!words || [e.text, e.worker, e.instance, e.route, e.about].join(' ').toLowerCase().includes(words)))
  return html`<${Page} title="Events" tools=${html`
      <${Field} label="Filter" type="search" value=${query.q ?? ''} onInput=${(q) => refine({ q }, { replace: true })} placeholder="any text" />
      <label class="field"><span>Kind</span><select value=${query.kind ?? ''} onChange=${(e) => refine({ kind: e.target.value })}><option value="">any</option>
        ${['instance', 'agent', 'table', 'alarm', 'undelivered', 'beat', 'stream', 'gap'].map((k) => html`<option key=${k} value=${k}>${k}</option>`)}</select></label>`}>
    <${Trouble} error=${error} what="events" />
    <p class="note" role="status">${error ? 'Not connected.' : answered ? 'Listening.' : 'Loading…'} ${answered && `${count(shown.length)} shown, the newest first.`}</p>
    ${shown.length > 0 && html`<${Scroll} label="Events"><table><thead><tr><th>at</th><th>kind</th><th>worker</th><th>what happened</th></tr></thead>
      <tbody>${shown.map((e) => html`<tr key=${e.id}><td class="time"><${When} at=${e.at} /></td><td><span class=${'badge ' + (bad.has(e.kind) ? 'failing' : good.has(e.kind) ? 'ok' : '')}>${e.kind}</span></td>
        <td>${e.worker && !e.kind.startsWith('agent') ? html`<a href=${address([], { node: e.worker })}>${e.worker}</a>` : e.route ?? e.worker ?? e.about ?? ''}</td><td class="words">${e.text}</td></tr>`)}</tbody></table><//>`}
  <//>`
}
