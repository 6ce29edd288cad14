// Numbers and times as people read them. A unit never changes between two updates because of a last digit alone.
export function short(n) {
  if (!Number.isFinite(n)) return '–'
  const a = Math.abs(n)
  if (a >= 1e9) return digits(n / 1e9) + ' G'
  if (a >= 1e6) return digits(n / 1e6) + ' M'
  if (a >= 1e4) return digits(n / 1e3) + ' k'
  return a >= 100 || Number.isInteger(n) ? String(Math.round(n)) : digits(n)
}

const digits = (n) => (Math.abs(n) >= 100 ? n.toFixed(0) : Math.abs(n) >= 10 ? n.toFixed(1).replace(/\.0$/, '') : n.toFixed(Math.abs(n) >= 1 ? 1 : 2))

export const rate = (n) => `${n > 0 && n < 0.01 ? '<0.01' : short(n ?? 0)}/s`

export function percent(share) {
  if (!share) return '0 %'
  const p = share * 100
  return p < 0.1 ? '<0.1 %' : `${p >= 10 ? Math.round(p) : p.toFixed(1)} %`
}

export function ms(n) {
  if (!n) return '–'
  if (n >= 60000) return `${(n / 60000).toFixed(1)} min`
  if (n >= 1000) return `${(n / 1000).toFixed(n >= 10000 ? 1 : 2)} s`
  return n >= 1 ? `${n.toFixed(n >= 100 ? 0 : 1)} ms` : `${Math.round(n * 1000)} µs`
}

export const count = (n) => (n ?? 0).toLocaleString('en')

export function seconds(n) {
  if (n < 1) return `${Math.round(n * 1000)} ms`
  if (n < 120) return `${n < 10 ? n.toFixed(1) : Math.round(n)} s`
  if (n < 7200) return `${Math.round(n / 60)} min`
  if (n < 172800) return `${Math.round(n / 3600)} h`
  return `${Math.round(n / 86400)} days`
}

export const isTime = (t) => Boolean(t) && !String(t).startsWith('0001-')

export const ago = (t, now = Date.now()) => (isTime(t) ? past(Math.round((now - new Date(t)) / 1000)) : '–')

const past = (whole) => (whole > 0 ? `${seconds(whole)} ago` : 'now')

const clockFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })

// clock is the time of day, with the day when it is not today's.
export function clock(t) {
  if (!isTime(t)) return '–'
  const at = new Date(t)
  if (Number.isNaN(at.getTime())) return '–'
  const today = at.toDateString() === new Date().toDateString()
  return (today ? '' : dayFormat.format(at) + ' ') + clockFormat.format(at)
}

export const routeOf = (e) => `${e.from}→${e.type}→${e.to}`

// middle leaves out the middle of a name that is too long, since names of one kind differ at their ends.
export function middle(text, most) {
  if (text.length <= most) return text
  const tail = Math.floor((most - 1) / 2)
  return text.slice(0, most - 1 - tail) + '…' + text.slice(text.length - tail)
}
