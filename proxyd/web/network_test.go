package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/damrey/damrey/internal/api"
)

// visit opens a view and waits for the first picture of the network.
func visit(t *testing.T, s *stage, width, height int64, hash string) *tab {
	t.Helper()
	b := open(t, width, height)
	b.do(chromedp.Navigate(s.url() + "/" + hash))
	return b
}

// settled: the plots have their points, and the picture has made room for the panel.
const settled = "document.querySelector('.plot')?.dataset.points > 100 && document.querySelector('.canvas').getAnimations().length === 0"

const drawn = "document.querySelectorAll('.node').length === "

func TestPage_DrawsFewWorkers(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.until(drawn + "5")
	for selector, want := range map[string]int{
		".node.degraded": 1, ".edge.silent": 1, ".edge.undeclared": 1, ".edge.backward": 1, ".fill.yellow": 1,
		".edge.degraded": 1, ".node.failing": 0,
	} {
		if got := eval[int](b, "document.querySelectorAll("+quoted(".picture "+selector)+").length"); got != want {
			t.Errorf("%d of %s, not %d", got, selector, want)
		}
	}
	b.shows("240/s")
	b.shows("live")
	b.shoot("light")
	b.accessible("network")
	b.clean(s.url())
}

func TestPage_DeadWorkerTurnsRed(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.until(drawn + "5")
	where := eval[string](b, "[...document.querySelectorAll('.node')].map((n) => n.getAttribute('transform')).join()")
	s.set(func() { kill(&s.network, "square") })
	b.until("document.querySelector('.node.failing')?.textContent.includes('square')")
	b.until("document.querySelector('nav .count')?.textContent === '1'")
	if got := eval[string](b, "[...document.querySelectorAll('.node')].map((n) => n.getAttribute('transform')).join()"); got != where {
		t.Errorf("nodes moved: %s became %s", where, got)
	}
	b.shoot("red")
	s.show(fewWorkers())
	b.until("!document.querySelector('.node.failing')")
	b.clean(s.url())
}

// A node is as bad as its firing alarms, grey while nobody knows, and what is no worker stands apart.
func TestPage_AlarmsUnknownAndFurtherRoutes(t *testing.T) {
	s := newStage(t)
	n := fewWorkers()
	for i := range n.Nodes {
		switch n.Nodes[i].Name {
		case "square", "bank":
			n.Nodes[i].Health, n.Nodes[i].Alarms = api.HealthOK, 1
		case "mail":
			n.Nodes[i].Health, n.Nodes[i].Why = "unknown", "not heard yet"
		}
	}
	n.Firing = 2
	n.Edges = append(n.Edges, edge("(other)", "(other)", "(other)", 7), edge("(other)", "(other)", "mail", 3))
	s.set(func() { s.network, s.docs["/v1/alarms"] = n, someAlarms() })
	b := visit(t, s, 1280, 800, "")
	b.until(drawn + "6")
	b.until("document.querySelector('.node.failing')?.textContent.includes('square')")
	b.until("document.querySelector('.node.degraded')?.textContent.includes('bank')")
	b.until("document.querySelector('.node.unknown .ready')?.textContent === '?'")
	b.until("document.querySelector('.node.further')?.textContent.includes('all further routes')")
	b.shows("5 workers")
	if hidden := eval[bool](b, `(() => {
		const at = (css) => document.querySelector(css).getBoundingClientRect()
		const loop = [...document.querySelectorAll('.edge')].find((e) => e.textContent.startsWith('all further routes → all further routes')).querySelector('.line').getBoundingClientRect()
		const over = (a) => a.left < loop.right && a.right > loop.left && a.top < loop.bottom - 2 && a.bottom > loop.top
		return loop.height < 5 || loop.top < at('.picture').top || [...document.querySelectorAll('.label .plate')].some((p) => over(p.getBoundingClientRect()))
	})()`); hidden {
		t.Error("the loop of all further routes is hidden")
	}
	b.shoot("states")
	b.accessible("states")
	b.clean(s.url())
}

func TestPage_PanelOfANodeAndAnEdge(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() { s.docs["/v1/instances"] = someInstances() })
	b := visit(t, s, 1440, 900, "")
	b.until(drawn + "5")
	eval[chromedp.Void](b, "[...document.querySelectorAll('.node')].find((n) => n.textContent.includes('bank')).dispatchEvent(new MouseEvent('click', {bubbles: true}))")
	b.until("location.hash.includes('node=bank')")
	b.until("document.querySelectorAll('.panel .u-over').length >= 2")
	b.shows("nats --server nats://10.1.2.3:4222 micro stats bank")
	b.shows("3.1 % of the messages fail")
	b.until("document.querySelectorAll('.panel table tbody tr').length >= 3")
	b.until(settled)
	b.shoot("node")
	b.accessible("panel of a node")
	b.clickText(".panel a", "square → pay")
	b.until("location.hash.includes('edge=')")
	b.shows("card declined by issuer 4711")
	b.shows("7,200 of 10,000")
	b.until("document.querySelectorAll('.panel .u-over').length === 3")
	b.until(settled)
	b.shoot("edge")
	b.accessible("panel of an edge")
	b.do(chromedp.NavigateBack())
	b.until("location.hash.includes('node=bank') && document.querySelector('.panel h2').textContent === 'bank'")
	b.clickText(".panel a.button", "Only this line")
	b.until("location.hash.includes('only=bank')")
	b.clean(s.url())
}

func TestPage_DrawsManyWorkers(t *testing.T) {
	s := newStage(t)
	s.show(manyWorkers())
	b := visit(t, s, 1600, 1000, "")
	b.until(drawn + "200")
	b.shoot("light")
	b.clickText("button", "Fold groups")
	b.until(drawn + "10")
	b.shoot("folded")
	b.clickText("button", "Unfold groups")
	b.until(drawn + "200")
	eval[chromedp.Void](b, "location.hash = '#/?node=pay-07'")
	b.until("document.querySelectorAll('.node.dimmed').length > 100 && document.querySelector('.panel')")
	b.shoot("line")
	b.do(chromedp.SendKeys(chromedp.CSS("#find"), "ship-1"+kb.Enter))
	b.until("location.hash.includes('node=ship-1')")
	b.clean(s.url())
}

func TestPage_DarkAndSmall(t *testing.T) {
	s := newStage(t)
	n := fewWorkers()
	kill(&n, "square")
	s.show(n)
	trace := someTrace()
	s.set(func() {
		s.docs["/v1/workers"], s.docs["/v1/alarms"], s.docs["/v1/instances"], s.dead = someWorkers(), someAlarms(), someInstances(), someLetters()
		s.docs["/v1/traces"], s.docs["/v1/traces/"+trace.ID] = api.TraceList{Traces: []api.TraceHead{trace.TraceHead}}, trace
	})
	b := open(t, 1280, 800)
	b.prefers("dark")
	b.do(chromedp.Navigate(s.url() + "/"))
	b.until(drawn + "5")
	b.shoot("dark")
	b.accessible("dark")
	ground := eval[string](b, "getComputedStyle(document.body).backgroundColor")
	b.click(".theme")
	b.until("getComputedStyle(document.body).backgroundColor !== " + quoted(ground))
	b.do(chromedp.Reload())
	b.until(drawn + "5")
	if now := eval[string](b, "getComputedStyle(document.body).backgroundColor"); now == ground {
		t.Error("the theme that was chosen is forgotten")
	}
	for view, full := range map[string]string{
		"": ".node", "workers": "tbody tr", "traces": "tbody tr", "traces/" + trace.ID: ".waterfall li", "tap": "h1", "dead": ".dead-group", "dead/2": ".dead-group",
		"alarms": "li.alarm", "table": "tbody tr", "table/entry": ".card pre", "events": "h1",
	} {
		b.do(chromedp.EmulateViewport(375, 700))
		eval[chromedp.Void](b, "location.hash = '#/"+view+"'")
		b.until("document.querySelector(" + quoted("main "+full) + ")")
		if wide := eval[int](b, "Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth)"); wide > 375 {
			t.Errorf("the view %q is %d wide on a screen of 375", view, wide)
		}
		b.shoot("small-" + strings.ReplaceAll(view, "/", "-"))
		b.accessible("small " + view)
	}
	eval[chromedp.Void](b, "location.hash = '#/?node=square'")
	b.until("document.querySelector('.panel')")
	b.shoot("small-panel")
	b.do(chromedp.EmulateViewport(3840, 2160))
	b.until("document.querySelector('.picture').clientWidth > 3000")
	b.until(`[...document.querySelectorAll('.node .box')].every((n) => {
		const at = n.getBoundingClientRect(), panel = document.querySelector('.panel').getBoundingClientRect()
		return at.left >= 0 && at.top >= 0 && at.right <= panel.left && at.bottom <= innerHeight
	})`)
	b.shoot("4k")
	b.clean(s.url())
}

func TestPage_KeyboardAlone(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.until(drawn + "5")
	b.press(kb.Tab)
	b.until("document.activeElement.className === 'skip'")
	b.press(kb.Enter)
	b.until("document.activeElement.id === 'main'")
	for range 15 {
		b.press(kb.Tab)
		if eval[bool](b, "document.activeElement.classList.contains('node')") {
			break
		}
	}
	b.until("document.activeElement.classList.contains('node')")
	first := eval[string](b, "document.activeElement.getAttribute('aria-label')")
	b.press(kb.ArrowRight)
	b.until("document.activeElement.classList.contains('node') && document.activeElement.getAttribute('aria-label') !== " + quoted(first))
	b.shoot("focus")
	name := eval[string](b, "document.activeElement.getAttribute('aria-label').split(',')[0]")
	b.press(kb.Enter)
	b.until("document.querySelector('.panel h2')?.textContent === " + quoted(name))
	for range 10 {
		if eval[bool](b, "document.querySelector('.panel').contains(document.activeElement)") {
			break
		}
		b.press(kb.Tab)
	}
	b.until("document.querySelector('.panel').contains(document.activeElement)")
	b.press(kb.Escape)
	b.until("!document.querySelector('.panel') && document.activeElement.classList.contains('node')")
	b.clean(s.url())
}

func TestPage_KeepsThePictureWhileTheProxyIsGone(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "")
	b.until(drawn + "5")
	b.shows("live")
	s.stop()
	b.shows("not connected since ")
	if got := eval[int](b, "document.querySelectorAll('.node').length"); got != 5 {
		t.Errorf("%d nodes are left of the picture", got)
	}
	b.shoot("gone")
	n := fewWorkers()
	n.Nodes = append(n.Nodes, node("late", 1))
	n.Edges = append(n.Edges, edge("square", "tell", "late", 1))
	s.start()
	s.show(n)
	b.until(drawn + "6")
	b.until("document.querySelector('.connection.on')")
}

// An endpoint that is missing or away is said in a word, and the rest goes on.
func TestPage_SaysWhatIsMissing(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	for _, view := range []string{"instances", "agents", "stats", "traces", "tap", "dead", "alarms", "silences", "workers", "events", "live"} {
		s.broken["/v1/"+view] = 404
	}
	b := visit(t, s, 1280, 800, "")
	b.shows("This proxy does not offer the live network.")
	for view, words := range map[string]string{
		"workers": "This proxy does not offer the list of instances.", "traces": "This proxy does not offer the list of traces.",
		"tap": "This proxy does not offer the live tap.", "dead": "This proxy does not offer dead letters.",
		"alarms": "This proxy does not offer alarms.", "table": "This proxy does not offer the table.", "events": "This proxy does not offer events.",
	} {
		eval[chromedp.Void](b, "location.hash = '#/"+view+"'")
		b.shows(words)
	}
	s.set(func() {
		for path := range s.broken {
			s.broken[path] = 503
		}
	})
	b.do(chromedp.Navigate(s.url() + "/#/alarms"))
	b.shows("Alarms cannot be shown now: the broker is away")
	for _, line := range b.said() {
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
	b.until(drawn + "5")
	for _, hash := range []string{
		"#/?node=" + queryEscaped(markup), "#/?edge=" + queryEscaped("entry→"+markup), "#/workers", "#/traces", "#/traces/" + queryEscaped(markup), "#/dead",
		"#/dead/7", "#/alarms", "#/table", "#/table/" + queryEscaped(markup), "#/events", "#/tap?args=1", "#/" + queryEscaped(markup),
	} {
		eval[chromedp.Void](b, "location.hash = "+quoted(hash))
		switch hash {
		case "#/events":
			s.events <- api.Event{ID: "1", Kind: markup, Worker: markup, Text: markup}
		case "#/tap?args=1":
			s.wasAsked("GET /v1/tap")
			s.copied(api.TapCopy{From: markup, Type: markup, To: markup, Args: []string{markup}, Outcome: "error", Error: markup})
		}
		b.shows("onerror=")
		if got := eval[int](b, "document.querySelectorAll('img, main script, aside script').length"); got != 0 {
			t.Errorf("%s: %d elements came from a name", hash, got)
		}
	}
	if title := eval[string](b, "document.title"); strings.Contains(title, "hacked") {
		t.Errorf("the title is %q", title)
	}
	b.clean(s.url())
}
