package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/browser"
)

// visit opens a view and waits for the first picture of the network.
func visit(t *testing.T, s *stage, width, height int64, hash string) *browser.Tab {
	t.Helper()
	b := browser.Open(t, width, height)
	b.Do(chromedp.Navigate(s.url() + "/" + hash))
	return b
}

// settled: the plots have their points, and the picture has made room for the panel.
const settled = "document.querySelector('.plot')?.dataset.points > 100 && document.querySelector('.canvas').getAnimations().length === 0"

const drawn = "document.querySelectorAll('.node').length === "

func TestPage_DrawsFewWorkers(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.Until(drawn + "5")
	for selector, want := range map[string]int{
		".node.degraded": 1, ".edge.silent": 1, ".edge.undeclared": 1, ".edge.backward": 1, ".fill.yellow": 1,
		".edge.degraded": 1, ".node.failing": 0,
	} {
		if got := browser.Eval[int](b, "document.querySelectorAll("+browser.Quoted(".picture "+selector)+").length"); got != want {
			t.Errorf("%d of %s, not %d", got, selector, want)
		}
	}
	b.Shows("240/s")
	b.Shows("live")
	b.Shoot("light")
	b.Accessible("network")
	b.Clean(s.url())
}

func TestPage_DeadWorkerTurnsRed(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.Until(drawn + "5")
	where := browser.Eval[string](b, "[...document.querySelectorAll('.node')].map((n) => n.getAttribute('transform')).join()")
	s.set(func() {
		kill(&s.network, "square")
		s.docs["/v1/instances"] = killed(someInstances(), "square")
	})
	b.Until("document.querySelector('.node.failing')?.textContent.includes('square')")
	b.Until("document.querySelector('nav .count')?.textContent === '2'")
	if got := browser.Eval[string](b, "[...document.querySelectorAll('.node')].map((n) => n.getAttribute('transform')).join()"); got != where {
		t.Errorf("nodes moved: %s became %s", where, got)
	}
	b.Shoot("red")
	b.Do(chromedp.EmulateViewport(1440, 800))
	browser.Eval[chromedp.Void](b, "location.hash = '#/?node=square'")
	b.Until("document.querySelector('.panel .chips a.failing')?.innerText === '1 alarm'")
	b.Until(settled)
	b.Shoot("alarm")
	s.show(fewWorkers())
	b.Until("!document.querySelector('.node.failing')")
	b.Clean(s.url())
}

// A node is as bad as its firing alarms, grey while nobody knows, and what is no worker stands apart.
func TestPage_AlarmsUnknownAndFurtherRoutes(t *testing.T) {
	s := newStage(t)
	n := fewWorkers()
	for i := range n.Nodes {
		switch n.Nodes[i].Name {
		case "square":
			n.Nodes[i].Health, n.Nodes[i].Alarms = api.HealthFailing, 1
		case "bank":
			n.Nodes[i].Health, n.Nodes[i].Alarms = api.HealthDegraded, 1
		case "mail":
			n.Nodes[i].Health, n.Nodes[i].Why = "unknown", "not heard yet"
		}
	}
	n.Firing = 2
	n.Edges = append(n.Edges, edge("(other)", "(other)", "(other)", 7), edge("(other)", "(other)", "mail", 3))
	s.show(n)
	b := visit(t, s, 1280, 800, "")
	b.Until(drawn + "6")
	b.Until("document.querySelector('.node.failing')?.textContent.includes('square')")
	b.Until("document.querySelector('.node.degraded')?.textContent.includes('bank')")
	b.Until("document.querySelector('.node.unknown .ready')?.textContent === '?'")
	b.Until("document.querySelector('.node.further')?.textContent.includes('all further routes')")
	b.Shows("5 workers")
	if hidden := browser.Eval[bool](b, `(() => {
		const at = (css) => document.querySelector(css).getBoundingClientRect()
		const loop = [...document.querySelectorAll('.edge')].find((e) => e.textContent.startsWith('all further routes → all further routes')).querySelector('.line').getBoundingClientRect()
		const over = (a) => a.left < loop.right && a.right > loop.left && a.top < loop.bottom - 2 && a.bottom > loop.top
		return loop.height < 5 || loop.top < at('.picture').top || [...document.querySelectorAll('.label .plate')].some((p) => over(p.getBoundingClientRect()))
	})()`); hidden {
		t.Error("the loop of all further routes is hidden")
	}
	b.Shoot("states")
	b.Accessible("states")
	b.Clean(s.url())
}

// firstError says that the panel tells all of the last error.
const firstError = `/^[\d.]+ s ago\s+too_large\s+Qm35xKp7\s+the answer of 2 MB is too large$/.test(document.querySelector('.errors li')?.innerText.trim())`

func TestPage_PanelOfANodeAndAnEdge(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() {
		s.docs["/v1/instances"] = someInstances()
		s.failures = []api.LastError{
			{At: time.Now().Add(-4 * time.Second), Code: "too_large", Text: "the answer of 2 MB is too large", Instance: bankInstance},
			{At: time.Now().Add(-90 * time.Second), Code: "error", Text: "card declined by issuer 4711: try again later", Instance: bankInstance},
		}
	})
	b := visit(t, s, 1440, 900, "")
	b.Until(drawn + "5")
	browser.Eval[chromedp.Void](b, "[...document.querySelectorAll('.node')].find((n) => n.textContent.includes('bank')).dispatchEvent(new MouseEvent('click', {bubbles: true}))")
	b.Until("location.hash.includes('node=bank')")
	b.Until("document.querySelectorAll('.panel .u-over').length >= 2")
	b.Shows("nats --server nats://10.1.2.3:4222 micro stats bank")
	b.Shows("8 % of the messages fail")
	b.Until("document.querySelectorAll('.panel table tbody tr').length >= 3")
	b.Until("[...document.querySelectorAll('.panel .facts > div')].map((f) => f.innerText.replace(/\\s+/, ' ')).join().includes('errors 8.0 %,p50 620 ms,p95 1.40 s,p99 2.10 s')")
	b.Until("[...document.querySelectorAll('.panel .facts > div')].some((f) => /^pending\\s+7,160$/.test(f.innerText))")
	b.Until(firstError)
	b.Until(settled)
	b.Shoot("node")
	b.Accessible("panel of a node")
	b.ClickText(".panel a", "square → pay")
	b.Until("location.hash.includes('edge=')")
	b.Shows("card declined by issuer 4711")
	b.Until(firstError)
	b.Until("document.querySelector('.errors a').hash === '#/workers?worker=bank&id=" + bankInstance + "'")
	b.Shows("7,200 of 10,000")
	b.Until("document.querySelectorAll('.panel .u-over').length === 3")
	b.Until("[...document.querySelectorAll('.panel h3')].some((h) => h.innerText === 'Instances of bank')")
	b.Until("[...document.querySelectorAll('.panel td a')].some((a) => a.hash === '#/workers?worker=bank&id=" + bankInstance + "')")
	b.Until(settled)
	b.Shoot("edge")
	b.Accessible("panel of an edge")
	b.Do(chromedp.NavigateBack())
	b.Until("location.hash.includes('node=bank') && document.querySelector('.panel h2').textContent === 'bank'")
	b.ClickText(".panel a.button", "Only this line")
	b.Until("location.hash.includes('only=bank')")
	b.Clean(s.url())
}

func TestPage_DrawsManyWorkers(t *testing.T) {
	s := newStage(t)
	s.show(manyWorkers())
	b := visit(t, s, 1600, 1000, "")
	b.Until(drawn + "200")
	b.Shoot("light")
	b.ClickText("button", "Fold groups")
	b.Until(drawn + "10")
	b.Shoot("folded")
	b.ClickText("button", "Unfold groups")
	b.Until(drawn + "200")
	browser.Eval[chromedp.Void](b, "location.hash = '#/?node=pay-07'")
	b.Until("document.querySelectorAll('.node.dimmed').length > 100 && document.querySelector('.panel')")
	b.Shoot("line")
	b.Do(chromedp.SendKeys(chromedp.CSS("#find"), "ship-1"+kb.Enter))
	b.Until("location.hash.includes('node=ship-1')")
	b.Clean(s.url())
}

func TestPage_DarkAndSmall(t *testing.T) {
	s := newStage(t)
	n := fewWorkers()
	kill(&n, "square")
	s.show(n)
	trace := someTrace()
	s.set(func() {
		s.docs["/v1/workers"], s.docs["/v1/alarms"], s.docs["/v1/instances"], s.dead = someWorkers(), someAlarms(), killed(someInstances(), "square"), someLetters()
		s.docs["/v1/traces"], s.docs["/v1/traces/"+trace.ID] = api.TraceList{Traces: []api.TraceHead{trace.TraceHead}}, trace
	})
	b := browser.Open(t, 1280, 800)
	b.Prefers("dark")
	b.Do(chromedp.Navigate(s.url() + "/"))
	b.Until(drawn + "5")
	b.Shoot("dark")
	b.Accessible("dark")
	b.Do(chromedp.EmulateViewport(375, 700))
	b.Until("document.querySelector('.picture').clientWidth < 376")
	b.Shoot("dark-phone")
	b.Accessible("dark phone")
	b.Do(chromedp.EmulateViewport(1280, 800))
	ground := browser.Eval[string](b, "getComputedStyle(document.body).backgroundColor")
	b.Click(".theme")
	b.Until("getComputedStyle(document.body).backgroundColor !== " + browser.Quoted(ground))
	b.Do(chromedp.Reload())
	b.Until(drawn + "5")
	if now := browser.Eval[string](b, "getComputedStyle(document.body).backgroundColor"); now == ground {
		t.Error("the theme that was chosen is forgotten")
	}
	for view, full := range map[string]string{
		"": ".node", "workers": "tbody tr", "traces": "tbody tr", "traces/" + trace.ID: ".waterfall li", "tap": "h1", "dead": ".dead-group", "dead/2": ".dead-group",
		"alarms": "li.alarm", "table": "tbody tr", "table/entry": ".card pre", "events": "h1",
	} {
		b.Do(chromedp.EmulateViewport(375, 700))
		browser.Eval[chromedp.Void](b, "location.hash = '#/"+view+"'")
		b.Until("document.querySelector(" + browser.Quoted("main "+full) + ")")
		if wide := browser.Eval[int](b, "Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth)"); wide > 375 {
			t.Errorf("the view %q is %d wide on a screen of 375", view, wide)
		}
		b.Shoot("small-" + strings.ReplaceAll(view, "/", "-"))
		b.Accessible("small " + view)
	}
	browser.Eval[chromedp.Void](b, "location.hash = '#/?node=square'")
	b.Until("document.querySelector('.panel')")
	b.Shoot("small-panel")
	b.Do(chromedp.EmulateViewport(3840, 2160))
	b.Until("document.querySelector('.picture').clientWidth > 3000")
	b.Until(`[...document.querySelectorAll('.node .box')].every((n) => {
		const at = n.getBoundingClientRect(), panel = document.querySelector('.panel').getBoundingClientRect()
		return at.left >= 0 && at.top >= 0 && at.right <= panel.left && at.bottom <= innerHeight
	})`)
	b.Shoot("4k")
	b.Clean(s.url())
}

func TestPage_KeyboardAlone(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.Until(drawn + "5")
	b.Press(kb.Tab)
	b.Until("document.activeElement.className === 'skip'")
	b.Press(kb.Enter)
	b.Until("document.activeElement.id === 'main'")
	for range 15 {
		b.Press(kb.Tab)
		if browser.Eval[bool](b, "document.activeElement.classList.contains('node')") {
			break
		}
	}
	b.Until("document.activeElement.classList.contains('node')")
	first := browser.Eval[string](b, "document.activeElement.getAttribute('aria-label')")
	b.Press(kb.ArrowRight)
	b.Until("document.activeElement.classList.contains('node') && document.activeElement.getAttribute('aria-label') !== " + browser.Quoted(first))
	b.Shoot("focus")
	name := browser.Eval[string](b, "document.activeElement.getAttribute('aria-label').split(',')[0]")
	b.Press(kb.Enter)
	b.Until("document.querySelector('.panel h2')?.textContent === " + browser.Quoted(name))
	for range 10 {
		if browser.Eval[bool](b, "document.querySelector('.panel').contains(document.activeElement)") {
			break
		}
		b.Press(kb.Tab)
	}
	b.Until("document.querySelector('.panel').contains(document.activeElement)")
	b.Press(kb.Escape)
	b.Until("!document.querySelector('.panel') && document.activeElement.classList.contains('node')")
	b.Clean(s.url())
}

// What is out of sight is not drawn, and keys go there all the same.
func TestPage_KeysReachWhatIsOutOfSight(t *testing.T) {
	s := newStage(t)
	s.show(manyWorkers())
	b := visit(t, s, 1280, 800, "")
	b.Until(drawn + "200")
	for range 7 {
		b.ClickText(".zoom button", "+")
	}
	const hidden = "document.querySelectorAll('.node > g[display=none]').length"
	b.Until(hidden + " > 100")
	browser.Eval[chromedp.Void](b, "document.querySelector('.node[tabindex=\"0\"]').focus()")
	for range 8 {
		was := browser.Eval[string](b, "document.activeElement.getAttribute('aria-label')")
		b.Press(kb.ArrowRight)
		b.Until("document.activeElement.getAttribute('aria-label') !== " + browser.Quoted(was))
		b.Until("(() => { const r = document.activeElement.getBoundingClientRect(); return r.width > 0 && r.left >= 0 && r.right <= innerWidth && r.top >= 0 && r.bottom <= innerHeight })()")
	}
	b.Until(hidden + " > 100")
	b.Clean(s.url())
}

func TestPage_KeepsThePictureWhileTheProxyIsGone(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.Until(drawn + "5")
	b.Shows("live")
	s.stop()
	b.Shows("not connected since ")
	if got := browser.Eval[int](b, "document.querySelectorAll('.node').length"); got != 5 {
		t.Errorf("%d nodes are left of the picture", got)
	}
	b.Shoot("gone")
	n := fewWorkers()
	n.Nodes = append(n.Nodes, node("late", 1))
	n.Edges = append(n.Edges, edge("square", "tell", "late", 1))
	s.start()
	s.show(n)
	b.Until(drawn + "6")
	b.Until("document.querySelector('.connection.on')")
}

// An endpoint that is missing or away is said in a word, and the rest goes on.
func TestPage_SaysWhatIsMissing(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	for _, view := range []string{"instances", "agents", "stats", "traces", "tap", "dead", "alarms", "silences", "workers", "events", "live"} {
		s.broken["/v1/"+view] = 404
	}
	b := visit(t, s, 1280, 800, "")
	b.Shows("This proxy does not offer the live network.")
	for view, words := range map[string]string{
		"workers": "This proxy does not offer the list of instances.", "traces": "This proxy does not offer the list of traces.",
		"tap": "This proxy does not offer the live tap.", "dead": "This proxy does not offer dead letters.",
		"alarms": "This proxy does not offer alarms.", "table": "This proxy does not offer the table.", "events": "This proxy does not offer events.",
	} {
		browser.Eval[chromedp.Void](b, "location.hash = '#/"+view+"'")
		b.Shows(words)
	}
	s.set(func() {
		for path := range s.broken {
			s.broken[path] = 503
		}
	})
	b.Do(chromedp.Navigate(s.url() + "/#/alarms"))
	b.Shows("Alarms cannot be shown now: the broker is away")
	for _, line := range b.Said() {
		if strings.HasPrefix(line, "exception") {
			t.Error(line)
		}
	}
}

const markup = `<img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`

func TestPage_NamesAreText(t *testing.T) {
	s := newStage(t)
	n := fewWorkers()
	n.Nodes[1].Name, n.Nodes[1].Why, n.Nodes[1].Agent = markup, markup, markup
	bad := edge("entry", markup, markup, 3)
	bad.LastError, bad.Why = markup, markup
	n.Edges = append(n.Edges[3:], bad)
	s.show(n)
	s.set(func() { forge(s, markup) })
	b := visit(t, s, 1280, 800, "")
	b.Until(drawn + "5")
	for _, hash := range []string{
		"#/?node=" + queryEscaped(markup), "#/?edge=" + queryEscaped("entry→"+markup), "#/workers", "#/traces", "#/traces/" + queryEscaped(markup), "#/dead",
		"#/dead/7", "#/alarms", "#/table", "#/table/" + queryEscaped(markup), "#/events", "#/tap?args=1", "#/" + queryEscaped(markup),
	} {
		browser.Eval[chromedp.Void](b, "location.hash = "+browser.Quoted(hash))
		switch hash {
		case "#/events":
			s.events <- api.Event{ID: "1", Kind: markup, Worker: markup, Text: markup}
		case "#/tap?args=1":
			s.wasAsked("GET /v1/tap")
			s.copied(api.TapCopy{From: markup, Type: markup, To: markup, Args: []string{markup}, Outcome: "error", Error: markup})
		}
		b.Shows("onerror=")
		if got := browser.Eval[int](b, "document.querySelectorAll('img, main script, aside script').length"); got != 0 {
			t.Errorf("%s: %d elements came from a name", hash, got)
		}
	}
	if title := browser.Eval[string](b, "document.title"); strings.Contains(title, "hacked") {
		t.Errorf("the title is %q", title)
	}
	b.Clean(s.url())
}
