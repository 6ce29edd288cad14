// Server-sent events over fetch, since an EventSource tells neither the status nor the words of a refusal.
import { refusal, unreachable } from './rest.js'

const SILENCE = 40000 // the proxy says something at least every 15 s
const LONGEST = 10000

// stream reads a path until stop() is called. It connects again by itself and goes on after the last event that it got.
//   onEvent({id, event, data})   onOpen()   onDown(error)
export function stream(path, { onEvent, onOpen, onDown }) {
  let stopped = false, controller = null, timer = 0, wait = 500, last = ''

  async function connect() {
    controller = new AbortController()
    const signal = controller.signal
    let silence = 0
    const heard = () => {
      clearTimeout(silence)
      silence = setTimeout(() => controller.abort(), SILENCE)
    }
    try {
      heard()
      const headers = { Accept: 'text/event-stream' }
      if (last) headers['Last-Event-ID'] = last
      const response = await fetch(path, { signal, headers, cache: 'no-store' })
      if (!response.ok) throw await refusal(response)
      onOpen?.()
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      const parser = makeParser((event) => {
        if (event.id) last = event.id
        onEvent(event)
      })
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        wait = 500
        heard()
        parser(value)
      }
      throw unreachable()
    } catch (error) {
      if (!stopped) onDown?.(error.status === undefined ? unreachable() : error)
    } finally {
      clearTimeout(silence)
    }
    if (!stopped) {
      timer = setTimeout(connect, wait * (0.75 + Math.random() / 2))
      wait = Math.min(2 * wait, LONGEST)
    }
  }

  connect()
  return () => {
    stopped = true
    clearTimeout(timer)
    controller?.abort()
  }
}

// makeParser takes pieces of text as they come and gives whole events.
export function makeParser(emit) {
  let rest = '', event = { id: '', event: 'message', data: [] }
  const line = (text) => {
    if (text === '') {
      if (event.data.length) emit({ id: event.id, event: event.event, data: event.data.join('\n') })
      event = { id: '', event: 'message', data: [] }
      return
    }
    const colon = text.indexOf(':')
    if (colon === 0) return // a comment that keeps the connection alive
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') event.data.push(value)
    else if (field === 'id' || field === 'event') event[field] = value
  }
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()
    lines.forEach(line)
  }
}
