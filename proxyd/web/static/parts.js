// Small parts that several views are made of.
import { html, useEffect, useRef, useState } from './html.js'
import { ago, clock, isTime } from './format.js'

// Trouble says in words what could not be got; nothing else of the view breaks by it.
export function Trouble({ error, what }) {
  if (!error) return null
  const words = {
    0: `${what} cannot be shown: the proxy does not answer. This page tries again by itself.`,
    404: `This proxy does not offer ${what}.`,
    501: `This proxy does not offer ${what}.`,
    503: `${what} cannot be shown now: ${error.message}`,
  }[error.status] ?? `${what} cannot be shown: ${error.message}`
  return html`<p class="trouble" role="status">${words[0].toUpperCase() + words.slice(1)}</p>`
}

export const Health = ({ health }) => html`<span class=${'badge ' + health}>${health === 'unknown' ? '? ' : ''}${health}</span>`

const DEFAULT_MPU = 100 // of a worker whose entry says none

export const Mpu = ({ mpu }) => (mpu ? html`${mpu}` : html`<span class="muted">${DEFAULT_MPU} default</span>`)

export function When({ at }) {
  if (!isTime(at)) return html`<span>–</span>`
  return html`<time datetime=${at} title=${String(at)}>${clock(at)}</time>`
}

export const Ago = ({ at }) => html`<time datetime=${at} title=${clock(at)}>${ago(at)}</time>`

export function Commands({ lines }) {
  return html`<ul class="commands">${lines.map((text) => html`<li key=${text}><code>${text}</code><${Copy} text=${text} /></li>`)}</ul>`
}

function Copy({ text }) {
  const [done, set] = useState(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      return // beyond this machine without https no page may; the line can be marked by hand
    }
    set(true)
    setTimeout(() => set(false), 1500)
  }
  return html`<button type="button" class="quiet" onClick=${copy} aria-label=${'Copy ' + text}>${done ? 'copied' : 'copy'}</button>`
}

// Confirm asks before what cannot be undone, in a dialog of the browser's own kind.
export function Confirm({ title, children, act, label, danger = false, disabled = false, onClose }) {
  const at = useRef(null)
  const [error, fail] = useState(null)
  const [busy, work] = useState(false)
  useEffect(() => at.current.showModal(), [])
  const submit = async (e) => {
    e.preventDefault()
    work(true)
    fail(null)
    try {
      await act()
      at.current?.close()
    } catch (error) {
      fail(error)
      work(false)
    }
  }
  return html`<dialog ref=${at} onClose=${onClose} aria-label=${title}>
    <form onSubmit=${submit}>
      <h2>${title}</h2>
      ${children}
      ${error && html`<p class="trouble" role="alert">${error.message}</p>`}
      <p class="buttons">
        <button type="button" onClick=${() => at.current.close()}>Cancel</button>
        <button type="submit" class=${danger ? 'danger' : 'main'} disabled=${busy || disabled}>${label}</button>
      </p>
    </form>
  </dialog>`
}

// Field is a labelled input that tells each change.
export function Field({ label, value, onInput, type = 'text', placeholder = '', ...more }) {
  return html`<label class="field"><span>${label}</span>
    <input type=${type} value=${value} placeholder=${placeholder} onInput=${(e) => onInput(e.target.value)} ...${more} /></label>`
}

export const Page = ({ title, note, tools, children }) => html`<main id="main" class="page" tabindex="-1">
  <div class="page-head"><h1>${title}</h1>${note && html`<p class="note">${note}</p>`}${tools && html`<div class="tools">${tools}</div>`}</div>
  ${children}
</main>`

// Scroll lets a wide table scroll by itself, with the keyboard too.
export const Scroll = ({ label, children }) => html`<div class="scroll" role="region" aria-label=${label} tabindex="0">${children}</div>`
