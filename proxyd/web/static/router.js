// Every view has an address after the #: a path, and what it shows as a query. Back and forward work as everywhere.
import { useEffect, useState } from 'preact/hooks'

export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#/, '').split('?')
  const parts = path.split('/').filter(Boolean).map(decode)
  return { view: parts[0] ?? '', rest: parts.slice(1), query: Object.fromEntries(new URLSearchParams(query)) }
}

function decode(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part // somebody typed a lone %
  }
}

// address of a view; what is empty is left out of the query.
export function address(parts, query = {}) {
  const kept = Object.entries(query).filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false)
  const search = new URLSearchParams(kept.map(([k, v]) => [k, String(v)])).toString()
  return '#/' + parts.map(encodeURIComponent).join('/') + (search ? '?' + search : '')
}

export function go(parts, query) {
  location.hash = address(parts, query)
}

// refine changes the query of the view in hand. Typing into a filter leaves one entry in the history, not one a letter.
export function refine(changes, { replace = false } = {}) {
  const { view, rest, query } = parse(location.hash)
  const next = address(view ? [view, ...rest] : [], { ...query, ...changes })
  if (!replace) location.hash = next
  else {
    history.replaceState(null, '', next)
    dispatchEvent(new HashChangeEvent('hashchange'))
  }
}

export function useRoute() {
  const [route, set] = useState(() => parse(location.hash))
  useEffect(() => {
    const changed = () => set(parse(location.hash))
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return route
}
