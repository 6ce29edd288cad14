// Workers and their instances.
import { html, useMemo } from '../html.js'
import { FURTHER } from '../graph.js'
import { useLive } from '../live.js'
import { useGet } from '../rest.js'
import { address, refine } from '../router.js'
import { ago, count, ms, percent, rate, seconds } from '../format.js'
import { InstanceHistory } from './history.js'
import { Field, Health, Mpu, Page, Scroll, Trouble, When } from '../parts.js'

export function Workers({ query }) {
  const { network } = useLive()
  const { data, error } = useGet('/v1/instances', 5000)
  const agents = useGet('/v1/agents', 10000)
  const words = (query.q ?? query.worker ?? '').toLowerCase()
  const nodes = (network?.nodes ?? []).filter((n) => n.name !== FURTHER && n.name.toLowerCase().includes(words) && (!query.health || n.health === query.health))
  const instances = useMemo(() => (data?.instances ?? []).filter((i) =>
    (!words || [i.worker, i.id, i.host, i.agent].join(' ').toLowerCase().includes(words)) && (!query.state || i.state === query.state)), [data, words, query.state])
  const chosen = query.id && data?.instances.find((i) => i.id === query.id && (!query.worker || i.worker === query.worker))
  return html`<${Page} title="Workers and instances"
    tools=${html`<${Field} label="Filter" type="search" value=${query.q ?? query.worker ?? ''} onInput=${(q) => refine({ q, worker: '', id: '' }, { replace: true })} placeholder="name, host, id" />
      ${query.health && html`<button type="button" onClick=${() => refine({ health: '' })}>${query.health} only ×</button>`}`}>
    ${chosen && html`<${One} key=${chosen.worker + chosen.id} instance=${chosen} />`}
    ${query.id && data && !chosen && html`<p class="note">Instance ${query.id} is not known: one that is gone is listed for 15 minutes.</p>`}
    <h2>Workers</h2>
    ${!network ? html`<p class="note">Waiting for the network…</p>` : html`<${Scroll} label="Workers"><table><thead><tr>
      <th>worker</th><th>health</th><th class="n">ready</th><th class="n">rate</th><th class="n">errors</th><th class="n">in flight</th><th class="n">queued</th><th class="n">mpu</th><th>what is wrong</th></tr></thead>
      <tbody>${nodes.map((n) => html`<tr key=${n.name}><td><a href=${address([], { node: n.name })}>${n.name}</a></td><td><${Health} health=${n.health} /></td>
        <td class="n">${n.ready}/${n.instances}</td><td class="n">${rate(n.rate)}</td><td class="n">${percent(n.error_share)}</td><td class="n">${count(n.in_flight)}</td><td class="n">${count(n.queued)}</td>
        <td class="n">${n.registered ? html`<${Mpu} mpu=${n.mpu} />` : '–'}</td><td class="words">${n.why ?? ''}</td></tr>`)}</tbody></table><//>`}
    <h2>Instances</h2>
    <${Trouble} error=${error} what="the list of instances" />
    ${data && html`<${Scroll} label="Instances"><table><thead><tr>
      <th>worker</th><th>instance</th><th>state</th><th>host</th><th class="n">pid</th><th>agent</th><th class="n">rate</th><th class="n">errors</th><th class="n">p99</th><th class="n">in flight</th><th>started</th><th>heard</th></tr></thead>
      <tbody>${instances.map((i) => html`<tr key=${i.worker + i.id}><td><a href=${address([], { node: i.worker })}>${i.worker}</a></td>
        <td><a href=${address(['workers'], { ...query, worker: i.worker, id: i.id })}>${i.id}</a></td><td><span class=${'badge state-' + i.state}>${i.state}</span></td>
        <td>${i.host}</td><td class="n">${i.pid}</td><td>${i.agent}</td><td class="n">${rate(i.rate)}</td><td class="n">${percent(i.error_share)}</td><td class="n">${ms(i.p99_ms)}</td>
        <td class="n">${i.in_flight}/${i.capacity}</td><td><${When} at=${i.started} /></td><td>${ago(i.heard, new Date(data.at))}</td></tr>`)}</tbody></table><//>`}
    <h2>Agents</h2>
    <${Trouble} error=${agents.error} what="the list of agents" />
    ${agents.data && (agents.data.agents.length === 0 ? html`<p class="note">None.</p>` : html`<${Scroll} label="Agents"><table><thead><tr><th>agent</th><th>state</th><th>host</th><th class="n">pid</th><th class="n">instances</th><th>since</th><th>lease</th></tr></thead>
      <tbody>${agents.data.agents.map((a) => html`<tr key=${a.name}><td>${a.name}</td><td>${a.state ? html`<span class=${'badge state-' + a.state}>${a.state}</span>` : '–'}</td><td>${a.host}</td><td class="n">${a.pid}</td><td class="n">${a.instances ?? '–'}</td><td><${When} at=${a.since} /></td>
        <td><span class=${'badge ' + (a.held ? 'ok' : 'failing')}>${a.held ? 'held' : 'run out'}</span></td></tr>`)}</tbody></table><//>`)}
  <//>`
}

// One is an instance with its facts and plots, its counters folded: they are many.
function One({ instance: i }) {
  const counts = Object.entries(i.counts ?? {}).sort()
  const facts = {
    worker: i.worker, state: i.state, host: i.host, pid: i.pid, agent: i.agent, version: i.version, program: i.program ?? '–',
    rate: rate(i.rate), errors: percent(i.error_share), p99: ms(i.p99_ms), 'clock ahead': `${i.skew_seconds < 0 ? '−' : ''}${seconds(Math.abs(i.skew_seconds))}`, 'in flight': `${i.in_flight} of ${i.capacity}`, queued: count(i.queued), table: i.stale ? 'may be out of date' : 'fresh',
  }
  return html`<section class="card" aria-label=${'Instance ' + i.id}><div class="panel-head"><h2>${i.id}</h2><button type="button" class="quiet" aria-label="Close" onClick=${() => refine({ id: '' })}>×</button></div>
    <dl class="facts">${Object.entries(facts).map(([k, v]) => html`<div key=${k}><dt>${k}</dt><dd>${v}</dd></div>`)}</dl>
    <${InstanceHistory} worker=${i.worker} instance=${i.id} />
    ${counts.length > 0 && html`<details><summary>Counters since it started</summary><dl class="facts">${counts.map(([k, v]) => html`<div key=${k}><dt>${k}</dt><dd>${count(v)}</dd></div>`)}</dl></details>`}
  </section>`
}
