// The network as it is now, for all views. While the proxy does not answer, the last picture stays and says how old it is.
import { useEffect, useState } from 'preact/hooks'
import { stream } from './stream.js'

const HIDDEN = 60000 // a tab that nobody looks at gives its connection back after this

const state = { network: null, connected: false, gone: null, error: null }
const listeners = new Set()
const eventListeners = new Set()
let stop = null, hiding = 0

function tell() {
  for (const f of listeners) f(state)
}

function down(error) {
  if (state.connected || !state.gone) state.gone = new Date()
  state.connected = false
  state.error = error
  tell()
}

function receive({ event, data }) {
  let document
  try {
    document = JSON.parse(data)
  } catch {
    down(new Error('the proxy sent what is no JSON'))
    return
  }
  if (event === 'network') {
    Object.assign(state, { network: document, connected: true, gone: null, error: null })
    tell()
  } else if (event === 'event') {
    for (const f of eventListeners) f(document)
  }
}

function start() {
  stop ??= stream('/v1/live', { onEvent: receive, onDown: down })
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(hiding)
  if (!document.hidden) start()
  else {
    hiding = setTimeout(() => {
      stop?.()
      stop = null
    }, HIDDEN)
  }
})

export function watch(f) {
  start()
  listeners.add(f)
  if (state.network || state.error) f(state)
  return () => listeners.delete(f)
}

export function onEvent(f) {
  start()
  eventListeners.add(f)
  return () => eventListeners.delete(f)
}

export function useLive() {
  const [, again] = useState(0)
  useEffect(() => watch(() => again((n) => n + 1)), [])
  return state
}
