// The network, which is the home of the page.
import { html, useEffect, useMemo, useRef, useState } from '../html.js'
import { useLive, watch } from '../live.js'
import { refine } from '../router.js'
import { FURTHER } from '../graph.js'
import { isGroup, modelOf } from '../network.js'
import { Picture } from '../picture.js'
import { count, rate } from '../format.js'
import { Trouble } from '../parts.js'
import { Panel } from './panel.js'

const split = (text) => new Set((text ?? '').split(',').filter(Boolean))
const join = (set) => [...set].join(',')

// modelFor keeps the model of the newest document, since the picture and the panel both need it.
let newest = { network: null, folded: '', model: null }
function modelFor(network, folded) {
  const key = join(folded)
  if (newest.network !== network || newest.folded !== key) newest = { network, folded: key, model: modelOf(network, folded) }
  return newest.model
}

export function Network({ query, fabric }) {
  const live = useLive()
  const svg = useRef(null), picture = useRef(null)
  const [typed, type] = useState(query.q ?? '')
  const folded = useMemo(() => split(query.fold), [query.fold])
  const shown = useRef({ folded, only: query.only })
  shown.current = { folded, only: query.only }

  useEffect(() => {
    const p = new Picture(svg.current, {
      onPick: (picked) => refine({ node: picked?.node, edge: picked?.edge }),
      onOpen: (node) => refine({ node, only: node }),
    })
    picture.current = p
    const unwatch = watch(({ network }) => {
      if (!network) return
      performance.clearMeasures('picture')
      const begin = performance.now()
      p.show(modelFor(network, shown.current.folded), shown.current)
      performance.measure('picture', { start: begin })
    })
    return () => {
      unwatch()
      p.close()
    }
  }, [])

  useEffect(() => {
    if (!live.network || !picture.current) return
    picture.current.show(modelFor(live.network, folded), { only: query.only, arrangeAnew: true })
    picture.current.fitAgain()
  }, [query.fold, query.only])

  useEffect(() => {
    picture.current?.choose(query.node ? { node: query.node } : query.edge ? { edge: query.edge } : null)
    picture.current?.cover(Boolean(query.node || query.edge))
    if (query.node) picture.current?.reveal(query.node)
  }, [query.node, query.edge, Boolean(live.network)])

  useEffect(() => {
    const words = typed.trim().toLowerCase()
    picture.current?.search(words ? (name) => name.toLowerCase().includes(words) : () => true)
  }, [typed, Boolean(live.network)])

  const arrange = () => {
    if (!live.network) return
    picture.current.show(modelFor(live.network, folded), { only: query.only, arrangeAnew: true })
    picture.current.fitAgain()
  }
  const search = (e) => {
    e.preventDefault()
    const words = typed.trim().toLowerCase()
    const names = [...(picture.current?.model?.nodes.keys() ?? [])].filter((n) => n.toLowerCase().includes(words))
    const found = names.find((n) => n.toLowerCase() === words) ?? names[0]
    if (!words || !found) return
    picture.current.focusNode(found)
    refine({ node: found, edge: '', q: typed })
  }
  const model = useMemo(() => live.network && modelFor(live.network, folded), [live.network, folded])
  const heads = model ? [...model.groups.keys()] : []
  const fold = (next) => refine({ fold: join(next), node: '', edge: '' })

  return html`<main id="main" class="network" tabindex="-1">
    <h1 class="unseen">Network</h1>
    <div class="bar-over">
      <form role="search" onSubmit=${search}>
        <label class="unseen" for="find">Find a worker</label>
        <input id="find" type="search" placeholder="Find a worker" value=${typed} onInput=${(e) => type(e.target.value)} autocomplete="off" />
      </form>
      <div class="zoom" role="group" aria-label="Picture">
        <button type="button" aria-label="Closer" title="Closer (+)" onClick=${() => picture.current.zoom(1.25)}>+</button>
        <button type="button" aria-label="Further away" title="Further away (−)" onClick=${() => picture.current.zoom(0.8)}>−</button>
        <button type="button" title="Fit into the window (0)" onClick=${() => picture.current.fitAgain()}>Fit</button>
        <button type="button" title="Arrange anew" onClick=${arrange}>Arrange</button>
      </div>
      ${heads.length > 0 && html`<button type="button" onClick=${() => fold(folded.size ? new Set() : new Set(heads))}
        title="Workers whose names begin alike become one node">${folded.size ? 'Unfold groups' : 'Fold groups'}</button>`}
      ${query.only && html`<button type="button" class="main" onClick=${() => refine({ only: '' })}>Line of ${query.only} ×</button>`}
      ${live.network && html`<${Summary} network=${live.network} />`}
    </div>
    <svg ref=${svg} class=${'picture' + (live.network && !live.connected ? ' old' : '')} role="group"
      aria-label="Network of workers. Arrow keys go from worker to worker, Enter opens one, plus and minus zoom."></svg>
    ${live.network && live.network.nodes.length === 0 && html`<${Empty} />`}
    ${!live.network && html`<div class="first">${live.error
      ? html`<${Trouble} error=${live.error} what="the live network" />`
      : html`<p class="note" role="status">Waiting for the first picture…</p>`}</div>`}
    <${Legend} />
    ${model && (query.node || query.edge) && html`<${Panel} model=${model} network=${live.network} fabric=${fabric}
      node=${query.node} edge=${query.edge} only=${query.only}
      onFold=${(head) => fold(new Set([...folded, head]))}
      onUnfold=${(name) => fold(new Set([...folded].filter((h) => !(isGroup(name) && name.startsWith(h)))))}
      onClose=${() => { picture.current.focusNode(query.node); refine({ node: '', edge: '' }) }} />`}
  </main>`
}

function Summary({ network }) {
  const workers = network.nodes.filter((n) => n.name !== FURTHER).length
  const failing = network.nodes.filter((n) => n.health === 'failing').length
  const handled = network.edges.reduce((n, e) => n + e.rate, 0)
  return html`<p class="summary"><b>${count(workers)}</b> workers <b>${count(network.edges.length)}</b> routes <b class="wide-number">${rate(handled)}</b>
    ${failing > 0 && html` <a class="failing" href="#/workers?health=failing">${failing} failing</a>`}
    ${network.firing > 0 && html` <a class="failing" href="#/alarms">${network.firing} ${network.firing === 1 ? 'alarm' : 'alarms'}</a>`}</p>`
}

const Empty = () => html`<div class="first"><h2>No workers yet</h2>
  <p class="note">Register one and run it; it appears here within a few seconds.</p>
  <p><code>damrey worker add greeter</code></p></div>`

const Legend = () => html`<ul class="legend" aria-label="Legend">
  <li><svg viewBox="0 0 26 8" aria-hidden="true"><path class="line ok" d="M0 4H26" /></svg>traffic</li>
  <li><svg viewBox="0 0 26 8" aria-hidden="true"><path class="line silent" d="M0 4H26" /></svg>declared, silent</li>
  <li><svg viewBox="0 0 26 8" aria-hidden="true"><path class="line undeclared" d="M0 4H26" /></svg>not declared</li>
  <li><i class="degraded"></i>degraded</li><li><i class="failing"></i>failing</li>
  <li><svg viewBox="0 0 26 8" aria-hidden="true"><rect class="room" width="26" height="5" y="1" rx="2.5" /><rect class="fill green" width="12" height="5" y="1" rx="2.5" /></svg>stored</li>
</ul>`
