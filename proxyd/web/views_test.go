package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/browser"
)

func TestPage_Workers(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() { s.docs["/v1/instances"] = someInstances() })
	b := visit(t, s, 1440, 900, "#/workers")
	b.Until("document.querySelectorAll('.scroll')[1]?.querySelectorAll('tbody tr').length === 8")
	b.Shows("lost")
	b.ClickText("td a", "Qm35")
	b.Until("location.hash === '#/workers?worker=bank&id=" + bankInstance + "'")
	s.wasAsked("GET /v1/stats?worker=bank&instance=" + bankInstance)
	b.Until("[...document.querySelectorAll('.card .plot')].filter((p) => p.dataset.points > 100).map((p) => p.querySelector('figcaption').innerText).join() === 'Rate and errors, mean of the last 15 s,How long messages stay,In hand'")
	b.Shoot("workers")
	b.Accessible("workers")
	b.Clean(s.url())
}

// An instance has an address, which says so when there is no such one, and all of it is reached by keys on a telephone too.
func TestPage_InstanceByItsAddressAndByKeys(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() { s.docs["/v1/instances"] = someInstances() })
	b := visit(t, s, 375, 700, "#/workers?worker=bank&id="+bankInstance)
	b.Until("document.querySelectorAll('.card .u-over').length === 3 && document.querySelector('.card .plot').dataset.points > 100")
	b.Shoot("small")
	b.Accessible("an instance, small")
	if wide := browser.Eval[int](b, "Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth)"); wide > 375 {
		t.Errorf("it is %d wide on a screen of 375", wide)
	}
	browser.Eval[chromedp.Void](b, "document.getElementById('main').focus()")
	for range 10 {
		b.Press(kb.Tab)
		if browser.Eval[bool](b, "document.activeElement.tagName === 'SUMMARY'") {
			break
		}
	}
	b.Press(kb.Enter)
	b.Until("document.querySelector('.card details').open")
	b.Shows("reconnects")
	browser.Eval[chromedp.Void](b, "location.hash = '#/workers?worker=bank&id=nobody'")
	b.Shows("Instance nobody is not known")
	b.Clean(s.url())
}

func TestPage_Trace(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	trace := someTrace()
	s.set(func() {
		s.docs["/v1/traces"] = api.TraceList{Traces: []api.TraceHead{trace.TraceHead}}
		s.docs["/v1/traces/"+trace.ID] = trace
	})
	b := visit(t, s, 1280, 800, "#/traces")
	b.Shows("entry→add→add")
	b.Accessible("traces")
	b.ClickText("td a", trace.ID[:16])
	b.Until("document.querySelectorAll('.waterfall li').length === 8")
	b.Shows("It was not traced from its beginning")
	if slow := browser.Eval[string](b, "document.querySelector('.waterfall .slow').innerText"); !strings.Contains(slow, "square") || !strings.Contains(slow, "handle") {
		t.Errorf("the slow hop is said to be %q", slow)
	}
	b.Until("document.querySelector('.first-failure')?.innerText.includes('bank handle') && document.querySelector('.first-failure pre').innerText === 'card declined by issuer 4711'")
	b.Until("document.querySelector('.waterfall .bad .span-error').innerText === 'card declined by issuer 4711'")
	b.Do(chromedp.EmulateViewport(1280, 690))
	b.Shoot("waterfall")
	b.Do(chromedp.EmulateViewport(1280, 800))
	b.ClickText(".waterfall button", "bank handle")
	b.Until("document.querySelector('.waterfall pre.error')")
	b.Shoot("trace")
	b.Accessible("trace")
	b.Clean(s.url())
}

// The proxy says which span was the slowest: what goes on at once counts once, and a program without the library has only
// the send to it.
func TestPage_TraceNamesTheSlowestThatTheProxyFound(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	begin := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	span := func(id, parent, kind, worker, to string, from, took time.Duration) api.Span {
		return api.Span{ID: id, Parent: parent, Kind: kind, From: "entry", Type: "t", To: to, Worker: worker, Instance: worker, Begin: begin.Add(from),
			Duration: float64(took) / float64(time.Millisecond), Outcome: "ok", Kept: "sampled"}
	}
	const ms = time.Millisecond
	trace := api.NewTrace("4bf92f3577b34da6a3ce929d0e0e4736", []api.Span{
		span("a0", "", "send", "entry", "add", 0, 102*ms),
		span("a1", "a0", "handle", "add", "add", ms, 100*ms),
		span("a2", "a1", "send", "add", "plain", 10*ms, 60*ms),
		span("a3", "a1", "send", "add", "other", 10*ms, 60*ms),
	}, time.Hour)
	s.set(func() { s.docs["/v1/traces/"+trace.ID] = trace })
	b := visit(t, s, 1280, 800, "#/traces/"+trace.ID)
	b.Until("document.querySelectorAll('.waterfall li').length === 4")
	if slow := browser.Eval[string](b, "[...document.querySelectorAll('.waterfall .slow .span-name')].map((s) => s.innerText).join()"); slow != "add send t → plain" {
		t.Errorf("the slow hop is said to be %q", slow)
	}
	b.Shows("add send (60.0 ms)")
	b.ClickText(".waterfall button", "add handle")
	b.Until("[...document.querySelectorAll('.waterfall dd')].some((d) => d.innerText === '40.0 ms')")
}

// The order of the answer does not matter: spans stand below the one that they are part of, siblings by their begin.
func TestPage_TraceIsATree(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	trace := someTrace()
	trace.Path[1].Begin = trace.Path[0].Begin.Add(600_100 * time.Nanosecond)
	trace.Path[2].Begin = trace.Path[0].Begin.Add(600_900 * time.Nanosecond) // within the same millisecond
	var want []string
	for _, span := range trace.Path {
		want = append(want, span.Worker+" "+span.Kind)
	}
	slices.Reverse(trace.Path)
	s.set(func() { s.docs["/v1/traces/"+trace.ID] = trace })
	b := visit(t, s, 1280, 800, "#/traces/"+trace.ID)
	b.Until("document.querySelectorAll('.waterfall li').length === 8")
	names := browser.Eval[[]string](b, "[...document.querySelectorAll('.span-name')].map((n) => n.innerText.split(' ').slice(0, 2).join(' '))")
	if !slices.Equal(names, want) {
		t.Errorf("the spans stand as %q, not %q", names, want)
	}
	depths := browser.Eval[[]string](b, "[...document.querySelectorAll('.span-name')].map((n) => n.className.replace('span-name depth-', ''))")
	if got := strings.Join(depths, ""); got != "01123345" {
		t.Errorf("the depths are %s", got)
	}
}

func TestPage_Tap(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	b := visit(t, s, 1280, 800, "#/tap")
	copied := api.TapCopy{At: time.Now(), From: "entry", Type: "add", To: "add", Instance: "i1", Args: []string{"3", "secret"}, Outcome: "forward", Wait: 0.2, Work: 1.4, Skipped: 5}
	s.wasAsked("GET /v1/tap?rate=20")
	s.copied(copied)
	b.Until("document.querySelectorAll('.tap tbody tr').length === 1")
	if text := browser.Eval[string](b, "document.body.innerText"); strings.Contains(text, "secret") {
		t.Error("arguments are shown that nobody asked for")
	}
	b.Shows("5 left out because of the rate")
	b.Click("input[type=checkbox]")
	s.wasAsked("GET /v1/tap?rate=20&args=true")
	b.Until("location.hash.includes('args=1')")
	b.Do(chromedp.SendKeys(chromedp.CSS(".tools .field input"), "entry"))
	s.wasAsked("GET /v1/tap?from=entry&rate=20&args=true")
	s.copied(copied)
	b.Shows(`"secret"`)
	bad := copied
	bad.Outcome, bad.Error = "error", "division by zero"
	s.copied(bad)
	b.Shows("division by zero")
	b.Shoot("tap")
	b.Accessible("tap")
	b.ClickText("button", "Pause")
	b.Shows("Paused.")
	b.ClickText("button", "Clear")
	s.set(func() { s.asked = nil })
	b.ClickText("button", "Go on")
	s.wasAsked("GET /v1/tap")
	s.copied(copied)
	b.Until("document.querySelectorAll('.tap tbody tr').length === 1")
	b.Clean(s.url())
}

func TestPage_DeadLetters(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() { s.dead = someLetters() })
	b := visit(t, s, 1280, 900, "#/dead")
	b.Until("document.querySelectorAll('.dead-group').length === 3") // errors that differ in numbers are one
	b.Shoot("dead")
	b.Accessible("dead letters")

	b.Click("button[aria-label='Retry letter 1']")
	b.Click("dialog button[type=submit]")
	s.wasAsked("POST /v1/dead/1/retry")
	b.Until("!document.querySelector(\"[aria-label='Retry letter 1']\") && !document.querySelector('dialog')")

	b.Click("button[aria-label='Edit letter 2']")
	b.Until("document.querySelectorAll('dialog textarea').length === 2")
	b.Do(chromedp.SetValue(chromedp.CSS("dialog textarea"), "42"))
	browser.Eval[chromedp.Void](b, "document.querySelector('dialog textarea').dispatchEvent(new Event('input', {bubbles: true}))")
	b.Shoot("edit")
	b.Accessible("edit")
	b.Click("dialog button[type=submit]")
	if asked := s.wasAsked("PATCH /v1/dead/2"); !strings.Contains(asked, "pay[42 EUR]") {
		t.Errorf("asked %q", asked)
	}
	s.wasAsked("POST /v1/dead/1002/retry")
	b.Until("!document.querySelector('dialog')")

	// One that stays says why.
	b.Click("button[aria-label='Retry letter 9']")
	b.Click("dialog button[type=submit]")
	b.Shows("letter 9: worker bank is paused; the letter stays")
	b.ClickText("dialog button", "Cancel")

	b.Click("input[aria-label='Choose letter 4']")
	b.Click("input[aria-label='Choose letter 8']")
	b.ClickText("button.danger", "Purge 2")
	b.Shows("This cannot be undone")
	b.ClickText("dialog button", "Purge for good")
	s.wasAsked("DELETE /v1/dead/4")
	s.wasAsked("DELETE /v1/dead/8")
	b.Until("document.querySelectorAll('.dead-group').length === 2")
	for _, line := range b.Said() {
		if strings.HasPrefix(line, "exception") {
			t.Error(line)
		}
	}
}

func TestPage_Alarms(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() { s.docs["/v1/alarms"] = someAlarms() })
	b := visit(t, s, 1280, 900, "#/alarms")
	b.Until("document.querySelectorAll('li.alarm').length === 3")
	b.Until("document.querySelector('li.alarm .commands code').innerText === 'damrey worker run square --nats nats://10.1.2.3:4222 -- COMMAND'")
	b.Until("document.querySelector('li.alarm .hint').innerText === 'for more instances'")
	b.Shoot("alarms")
	b.Accessible("alarms")
	b.ClickText("li.alarm button", "Acknowledge")
	b.Do(chromedp.SendKeys(chromedp.CSS("dialog input"), "Grace"))
	b.Accessible("acknowledge")
	b.Click("dialog button[type=submit]")
	if asked := s.wasAsked("POST /v1/alarms/no_instance%3Asquare/ack"); !strings.Contains(asked, `"by":"Grace"`) {
		t.Errorf("asked %q", asked)
	}
	b.Until("!document.querySelector('dialog')")
	b.ClickText("li.alarm button", "Silence")
	b.Do(chromedp.SendKeys(chromedp.CSS("dialog .field:last-of-type input"), "moving house"))
	b.Click("dialog button[type=submit]")
	if asked := s.wasAsked("POST /v1/silences"); !strings.Contains(asked, `"worker":"square"`) || !strings.Contains(asked, `"by":"Grace"`) || !strings.Contains(asked, `"until"`) {
		t.Errorf("asked %q", asked)
	}
	b.ClickText("li.alarm button", "Take back")
	s.wasAsked("DELETE /v1/alarms/errors%3Asquare%E2%86%92pay%E2%86%92bank/ack")
	b.Clean(s.url())
}

func TestPage_TableAndEvents(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	list := someWorkers()
	list.Workers[0].MPU = 0
	s.set(func() { s.docs["/v1/workers"], s.docs["/v1/workers/square/history"] = list, someHistory() })
	b := visit(t, s, 1280, 800, "#/table")
	b.Until("document.querySelectorAll('table.routes tbody tr').length === 4")
	b.Shows("durable")
	b.Shows("100 default")
	b.ClickText("th a", "square")
	b.Shows("kv history damrey_workers square")
	b.Shows("mpu 5 → 7; route pay → bank added")
	b.Shoot("table")
	b.Accessible("table")
	b.ClickText("table.history button", "Put back")
	b.Shows("Put back revision 2 of square")
	b.Click("dialog button[type=submit]")
	if asked := s.wasAsked("PUT /v1/workers/square"); !strings.Contains(asked, `"mpu":"5"`) {
		t.Errorf("asked %q", asked)
	}
	b.Until("!document.querySelector('dialog')")

	browser.Eval[chromedp.Void](b, "location.hash = '#/events'")
	s.wasAsked("GET /v1/events")
	b.Shows("0 shown") // once nothing has come for a while
	s.events <- api.Event{ID: "7-1", At: time.Now(), Kind: api.EventInstanceJoined, Worker: "square", Instance: "i1", Text: "an instance of square joined from machine-1"}
	s.events <- api.Event{ID: "7-2", At: time.Now(), Kind: api.EventInstanceLost, Worker: "bank", Instance: "i2", Text: "an instance of bank was not heard for 15 s"}
	b.Until("document.querySelectorAll('tbody tr').length === 2")
	for _, kind := range api.EventKinds {
		head, _, _ := strings.Cut(string(kind), ".")
		b.Until("[...document.querySelectorAll('select option')].some((o) => o.value === '" + head + "')")
	}
	b.Shoot("events")
	b.Accessible("events")
	b.Clean(s.url())

	// After the proxy was away it goes on where it stopped.
	s.stop()
	b.Shows("Not connected.")
	s.start()
	s.wasAsked("GET /v1/events?last=200 7-2")
}

// Before the first answer nobody says how many events there are.
func TestPage_EventsAreLoading(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() { s.broken["/v1/events"] = 503 })
	b := visit(t, s, 1280, 800, "#/events")
	b.Shows("Not connected.")
	if text := browser.Eval[string](b, "document.querySelector('main').innerText"); strings.Contains(text, "0 shown") {
		t.Errorf("it says %q", text)
	}
	s.set(func() { delete(s.broken, "/v1/events") })
	b.Shows("Listening. 0 shown")
}

// Read-only shows nothing that changes anything.
func TestPage_ReadOnly(t *testing.T) {
	s := newStage(t)
	s.show(fewWorkers())
	s.set(func() {
		s.docs["/v1/fabric"] = api.Fabric{Prefix: "damrey", ReadOnly: true}
		s.docs["/v1/alarms"], s.dead = someAlarms(), someLetters()
		s.docs["/v1/workers"], s.docs["/v1/workers/square/history"] = someWorkers(), someHistory()
	})
	b := visit(t, s, 1280, 800, "#/dead")
	b.Shows("read-only")
	b.Until("document.querySelectorAll('.dead-group').length === 3")
	for view, want := range map[string]string{"dead": "no such account", "dead/2": "Letter 2", "alarms": "no_instance", "table/square": "route pay → bank added"} {
		browser.Eval[chromedp.Void](b, "location.hash = '#/"+view+"'")
		b.Shows(want)
		if got := browser.Eval[string](b, "[...document.querySelectorAll('main button')].map((b) => b.innerText).filter((t) => /Retry|Edit|Purge|Acknowledge|Silence|Lift|Take|Put back/.test(t)).join()"); got != "" {
			t.Errorf("%s offers %s", view, got)
		}
	}
	b.Clean(s.url())
}
