// Runs before the first paint, so that a theme that was chosen by hand does not flash.
try {
  const chosen = localStorage.getItem('damrey.theme')
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen
} catch {
  // a browser that keeps nothing gets the system's theme
}
