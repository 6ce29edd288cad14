// What is known of one node or edge of the network, beside the picture.
import { html, useEffect, useRef } from '../html.js'
import { useGet } from '../rest.js'
import { address } from '../router.js'
import { count, ms, percent, rate, routeOf, seconds } from '../format.js'
import { routeCommands, workerCommands } from '../commands.js'
import { FURTHER } from '../graph.js'
import { fillLevel, titleOf } from '../network.js'
import { Ago, Commands, Health, Mpu, Scroll, Trouble } from '../parts.js'
import { RouteHistory } from './history.js'

export function Panel({ model, network, node, edge, ...more }) {
  const at = useRef(null)
  useEffect(() => { at.current?.scrollTo(0, 0) }, [node, edge])
  const shown = node ? model.nodes.get(node) : model.edges.get(edge)
  const title = node ? titleOf(node) : edge.split('→').map(titleOf).join(' → ')
  return html`<aside class="panel" ref=${at} aria-label=${title}
    onKeyDown=${(e) => { if (e.key === 'Escape') more.onClose() }}>
    <div class="panel-head"><h2>${title}</h2><button type="button" class="quiet" onClick=${more.onClose} aria-label="Close">×</button></div>
    ${!shown ? html`<p class="note">${title} is not in the network now.</p>`
      : node ? shown.further ? html`<${Further} network=${network} />` : (shown.members ? html`<${Group} node=${shown} ...${more} />` : html`<${Worker} key=${node} node=${shown} model=${model} network=${network} ...${more} />`)
        : html`<${Edge} key=${edge} edge=${shown} ...${more} />`}
  </aside>`
}

const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`

function Worker({ node, model, network, fabric, only, onFold }) {
  const incoming = network.edges.filter((e) => e.to === node.name)
  const outgoing = network.edges.filter((e) => e.from === node.name)
  const head = [...model.groups].find(([, members]) => members.includes(node.name))?.[0]
  return html`
    <p class="chips"><${Health} health=${node.health} />${node.paused && html`<span class="badge">paused</span>`}${!node.registered && html`<span class="badge degraded">not registered</span>`}
      ${node.alarms > 0 && html`<a class="badge failing" href=${address(['alarms'], { worker: node.name })}>${node.alarms} ${node.alarms === 1 ? 'alarm' : 'alarms'}</a>`}</p>
    ${node.why && html`<p class="why">${node.why}</p>`}
    <dl class="facts">
      <${Fact} name="ready">${node.ready} of ${node.instances}<//>
      <${Fact} name="handled">${rate(node.rate)}<//>
      <${Fact} name="errors">${percent(node.error_share)}<//>
      <${Fact} name="p50">${ms(node.p50_ms)}<//><${Fact} name="p95">${ms(node.p95_ms)}<//><${Fact} name="p99">${ms(node.p99_ms)}<//>
      <${Fact} name="in flight">${count(node.in_flight)}<//>
      <${Fact} name="queued">${count(node.queued)}<//>
      <${Fact} name="pending">${count(node.pending)}<//>
      <${Fact} name="mpu">${node.registered ? html`<${Mpu} mpu=${node.mpu} />` : '–'}<//>
      ${node.agent && html`<${Fact} name="agent">${node.agent}<//>`}
    </dl>
    <p class="buttons">
      <a class="button" href=${address([], { node: node.name, only: only ? '' : node.name })}>${only ? 'Whole network' : 'Only this line'}</a>
      ${head && html`<button type="button" onClick=${() => onFold(head)}>Fold ${head}-…</button>`}
      <a class="button" href=${address(['tap'], { to: node.name })}>Tap</a>
    </p>
    <${Routes} title="Comes in" routes=${incoming} name=${(e) => `${e.from} → ${e.type}`} />
    <${Routes} title="Goes out" routes=${outgoing} name=${(e) => `${e.type} → ${e.to}`} />
    <${RouteHistory} routes=${incoming} />
    <${Instances} title="Instances" workers=${[node.name]} />
    <h3>The same in a terminal</h3>
    <${Commands} lines=${workerCommands(node.name, fabric, { durable: incoming.some((e) => e.durable) })} />`
}

// Further is what stands for all routes that beats do not tell apart.
const Further = ({ network }) => html`<p class="note">A beat tells a limited number of routes apart. What goes along all others is counted together here; this is no worker.</p>
  <${Routes} title="Comes in" routes=${network.edges.filter((e) => e.to === FURTHER)} name=${(e) => titleOf(e.from)} />
  <${Routes} title="Goes out" routes=${network.edges.filter((e) => e.from === FURTHER)} name=${(e) => titleOf(e.to)} />`

function Group({ node, onUnfold }) {
  return html`<p class="chips"><${Health} health=${node.health} /></p>
    <dl class="facts">
      <${Fact} name="workers">${node.members.length}<//>
      <${Fact} name="ready">${node.ready} of ${node.instances}<//>
      <${Fact} name="handled">${rate(node.rate)}<//>
      <${Fact} name="errors">${percent(node.error_share)}<//>
    </dl>
    <p class="buttons"><button type="button" class="main" onClick=${() => onUnfold(node.name)}>Unfold</button></p>
    <h3>Workers</h3>
    <ul class="names">${node.members.map((name) => html`<li key=${name}>${name}</li>`)}</ul>`
}

function Routes({ title, routes, name }) {
  if (!routes.length) return null
  return html`<h3>${title}</h3><table class="small"><thead><tr><th>route</th><th class="n">rate</th><th class="n">errors</th><th class="n">p99</th></tr></thead>
    <tbody>${routes.map((e) => html`<tr key=${routeOf(e)} class=${e.health}>
      <td><a href=${address([], { edge: `${e.from}→${e.to}` })}>${name(e)}</a>${!e.declared && html` <span class="badge degraded">undeclared</span>`}</td>
      <td class="n">${rate(e.rate)}</td><td class="n">${percent(e.error_share)}</td><td class="n">${ms(e.p99_ms)}</td></tr>`)}</tbody></table>`
}

function Edge({ edge, fabric }) {
  return html`${edge.routes.map((r) => html`<section key=${routeOf(r)} class="route">
    ${edge.routes.length > 1 && html`<h3>${r.type}</h3>`}
    <p class="chips"><${Health} health=${r.health} /><span class="badge">${r.delivery}</span>${edge.routes.length === 1 && html`<span class="badge">${r.type}</span>`}
      ${r.paused && html`<span class="badge">paused</span>`}${!r.declared && html`<span class="badge degraded">traffic without a declared route</span>`}${!r.observed && html`<span class="badge">declared, no traffic</span>`}</p>
    ${r.why && html`<p class="why">${r.why}</p>`}
    <dl class="facts">
      <${Fact} name="rate">${rate(r.rate)}<//><${Fact} name="errors">${percent(r.error_share)}<//><${Fact} name="handled">${count(r.handled)}<//>
      <${Fact} name="p50">${ms(r.p50_ms)}<//><${Fact} name="p95">${ms(r.p95_ms)}<//><${Fact} name="p99">${ms(r.p99_ms)}<//>
      <${Fact} name="waits">${ms(r.wait_ms)}<//><${Fact} name="works">${ms(r.work_ms)}<//><${Fact} name="failed">${count(r.failed)}<//>
      <${Fact} name="in flight">${count(r.in_flight)}<//>
      ${['timeouts', 'busy', 'malformed', 'undelivered'].filter((k) => r[k] > 0).map((k) => html`<${Fact} key=${k} name=${k}>${count(r[k])}<//>`)}
    </dl>
    ${r.durable && html`<${Stored} route=${r} backlog=${r.durable} />`}
    <p class="buttons"><a class="button" href=${address(['tap'], { from: r.from, type: r.type, to: r.to })}>Tap</a>
      <a class="button" href=${address(['traces'], { route: routeOf(r) })}>Traces</a></p>
    <${RouteHistory} routes=${[r]} />
    <h3>The same in a terminal</h3>
    <${Commands} lines=${routeCommands(r, fabric)} />
  </section>`)}
    <${Instances} title=${`Instances of ${titleOf(edge.to)}`} workers=${[...new Set(edge.routes.map((r) => r.to))]} />`
}

function Stored({ route, backlog }) {
  const level = fillLevel(backlog.fill)
  return html`<h3>Stored</h3>
    <div class=${'meter ' + level} role="img" aria-label=${percent(backlog.fill) + ' full'}><${Bar} share=${backlog.fill} /></div>
    <dl class="facts">
      <${Fact} name="pending">${count(backlog.pending)}<//><${Fact} name="in hand">${count(backlog.unacked)}<//>
      <${Fact} name=${'for ' + route.to}>${count(backlog.stored)}${backlog.limit ? ` of ${count(backlog.limit)}` : ''}<//>
      <${Fact} name="oldest">${seconds(backlog.oldest_age_seconds)}<//><${Fact} name="redelivered">${count(backlog.redelivered)}<//>
      <${Fact} name="dead letters"><a href=${address(['dead'], { worker: route.to, type: route.type, from: route.from })}>${count(backlog.dead)}</a><//>
    </dl>`
}

const Bar = ({ share }) => html`<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width=${Math.min(1, share) * 100} height="6" /></svg>`

// Instances are those of one worker, or of all in a group.
function Instances({ title, workers }) {
  const { data, error } = useGet('/v1/instances', 5000)
  const own = data?.instances.filter((i) => workers.includes(i.worker)) ?? []
  return html`<h3>${title}</h3>
    ${error && !data ? html`<${Trouble} error=${error} what="the list of instances" />`
      : own.length === 0 ? html`<p class="note">${data ? 'None is known.' : 'Asking…'}</p>`
        : html`<${Scroll} label=${title}><table class="small"><thead><tr><th>instance</th><th>state</th><th>host</th><th class="n">rate</th><th class="n">errors</th><th class="n">p99</th><th class="n">in flight</th><th>heard</th></tr></thead>
          <tbody>${own.map((i) => html`<tr key=${i.worker + i.id}><td><a href=${address(['workers'], { worker: i.worker, id: i.id })}>${i.id.slice(0, 8)}</a></td><td><span class=${'badge state-' + i.state}>${i.state}</span></td>
            <td>${i.host}</td><td class="n">${rate(i.rate)}</td><td class="n">${percent(i.error_share)}</td><td class="n">${ms(i.p99_ms)}</td><td class="n">${i.in_flight}/${i.capacity}</td><td><${Ago} at=${i.heard} /></td></tr>`)}</tbody></table><//>`}`
}
