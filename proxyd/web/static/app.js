// The frame around all views: where they are, whether the proxy is there, and the theme.
import { html, render, useEffect, useState } from './html.js'
import { useLive } from './live.js'
import { useGet } from './rest.js'
import { address, useRoute } from './router.js'
import { clock } from './format.js'
import { Network } from './views/network.js'
import { Workers } from './views/workers.js'
import { Traces } from './views/traces.js'
import { Tap } from './views/tap.js'
import { Dead } from './views/dead.js'
import { Alarms } from './views/alarms.js'
import { Table } from './views/table.js'
import { Events } from './views/events.js'

const views = [
  ['', 'Network', Network], ['workers', 'Workers', Workers], ['traces', 'Lines', Traces], ['tap', 'Tap', Tap],
  ['dead', 'Dead letters', Dead], ['alarms', 'Alarms', Alarms], ['table', 'Table', Table], ['events', 'Events', Events],
]

function App() {
  const route = useRoute()
  const live = useLive()
  const fabric = useGet('/v1/fabric', 30000).data
  const [, title, View] = views.find(([path]) => path === route.view) ?? [null, 'Not found', Missing]
  useEffect(() => { document.title = `${title} · Damrey` }, [title])
  const readOnly = Boolean(fabric?.read_only)
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header>
      <a class="brand" href="#/" aria-label="Damrey, the network"><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M8 8C18 8 14 16 24 16M8 24C18 24 14 16 24 16" /><circle cx="7" cy="8" r="4.5" /><circle cx="7" cy="24" r="4.5" /><circle cx="25" cy="16" r="4.5" /></svg><span>Damrey</span></a>
      <nav aria-label="Views"><ul>${views.map(([path, label]) => html`<li key=${path}><a href=${address(path ? [path] : [])} aria-current=${path === route.view ? 'page' : null}>${label}
        ${path === 'alarms' && live.network?.firing > 0 && html`<span class="count" aria-label=${`${live.network.firing} firing`}>${live.network.firing}</span>`}</a></li>`)}</ul></nav>
      <div class="status">
        ${readOnly && html`<span class="badge" title="This proxy was started with --read-only">read-only</span>`}
        <${Connection} live=${live} />
        <${Theme} />
      </div>
    </header>
    <${View} key=${route.view} ...${route} fabric=${fabric} readOnly=${readOnly} />`
}

// skip goes to the content without changing the address of the view.
function skip(e) {
  e.preventDefault()
  document.getElementById('main')?.focus()
}

function Connection({ live }) {
  const words = live.connected ? 'live' : live.gone ? `not connected since ${clock(live.gone)}` : 'connecting'
  return html`<span class=${'connection ' + (live.connected ? 'on' : live.gone ? 'off' : '')} role="status" title=${live.error?.message ?? ''}><i></i>${words}</span>`
}

function Theme() {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
  const [theme, set] = useState(document.documentElement.dataset.theme || system)
  const other = theme === 'dark' ? 'light' : 'dark'
  const turn = () => {
    document.documentElement.dataset.theme = other
    try {
      localStorage.setItem('damrey.theme', other)
    } catch {
      // it holds until the page is loaded again
    }
    set(other)
  }
  return html`<button type="button" class="quiet theme" onClick=${turn} aria-label=${`Use the ${other} theme`} title=${`Use the ${other} theme`}>
    <svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="7" /><path d="M10 3a7 7 0 0 1 0 14z" /></svg></button>`
}

const Missing = ({ view }) => html`<main id="main" class="page" tabindex="-1"><h1>Nothing here</h1><p class="note">There is no view called ${view}. <a href="#/">The network</a> is the beginning.</p></main>`

render(html`<${App} />`, document.getElementById('app'))
