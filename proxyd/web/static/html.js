// Templates and hooks in one place. What is inserted into a template is always text, never markup.
import { h, render } from 'preact'
import htm from 'htm'

export const html = htm.bind(h)
export { h, render }
export { useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback } from 'preact/hooks'
