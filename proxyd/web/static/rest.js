// The REST interface of the proxy that served this page.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'

// Refused is an answer that is no success, or none at all (status 0), in the proxy's own words.
export class Refused extends Error {
  constructor(status, detail) {
    super(detail)
    this.status = status
  }
}

export async function refusal(response) {
  let detail = ''
  try {
    const problem = await response.json()
    detail = problem.detail || problem.title || ''
    const fields = (problem.errors ?? []).filter((e) => !detail.includes(e.message)).map((e) => `${e.location}: ${e.message}`)
    detail = [detail, ...fields].filter(Boolean).join('; ')
  } catch {
    // not a problem document; the status has to do
  }
  return new Refused(response.status, detail || `${response.status} ${response.statusText}`)
}

export const unreachable = () => new Refused(0, 'the proxy does not answer')

async function ask(path, options) {
  let response
  try {
    response = await fetch(path, options)
  } catch (e) {
    if (e.name === 'AbortError') throw e
    throw unreachable()
  }
  if (!response.ok) throw await refusal(response)
  return response.status === 204 ? null : response.json()
}

export const get = (path, signal) => ask(path, { signal, headers: { Accept: 'application/json' } })

export const send = (method, path, body, headers = {}) =>
  ask(path, { method, headers: body === undefined ? headers : { ...headers, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) })

export function query(parameters) {
  const kept = Object.entries(parameters).filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false)
  const text = new URLSearchParams(kept.map(([k, v]) => [k, String(v)])).toString()
  return text ? '?' + text : ''
}

// useGet asks for a document, and again every so many milliseconds while the page is looked at. What was got last stays
// when a later answer fails. An empty path asks for nothing.
export function useGet(path, every = 0) {
  const [state, set] = useState({ path, data: null, error: null })
  const again = useRef(() => {})
  useEffect(() => {
    if (!path) return undefined
    const controller = new AbortController()
    let timer = 0
    const load = async () => {
      clearTimeout(timer)
      if (!document.hidden || timer === 0) {
        try {
          const data = await get(path, controller.signal)
          set({ path, data, error: null })
        } catch (error) {
          if (error.name === 'AbortError') return
          set((was) => ({ path, data: was.path === path ? was.data : null, error }))
        }
      }
      if (every && !controller.signal.aborted) timer = setTimeout(load, every)
    }
    again.current = load
    load()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [path, every])
  const reload = useCallback(() => again.current(), [])
  const own = state.path === path
  return { data: own ? state.data : null, error: own ? state.error : null, reload }
}
