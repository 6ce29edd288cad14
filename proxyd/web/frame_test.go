package web_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"github.com/damrey/damrey/internal/browser"
)

// frame is what one update cost: the script that changed the picture, and the style, layout and paint after it.
type frame struct{ Script, Render float64 }

// follow keeps what each update costs, from the page's own marks. What is posted while a frame is made comes when it is done.
const follow = `(() => {
	if (window.frames200) { frames200.length = 0; return }
	window.frames200 = []
	let last = 0
	const channel = new MessageChannel()
	let pending = null
	channel.port1.onmessage = () => { pending.render = performance.now() - pending.begin; frames200.push({script: pending.script, render: pending.render}) }
	const loop = () => {
		const entry = performance.getEntriesByName('picture')[0]
		if (entry && entry.startTime !== last) {
			last = entry.startTime
			pending = {script: entry.duration, begin: performance.now()}
			channel.port2.postMessage('')
		}
		requestAnimationFrame(loop)
	}
	requestAnimationFrame(loop)
})()`

// Two hundred workers with new numbers five times a second. `go test ./proxyd/web -run Frame -v` prints what a frame
// costs; what it may cost is 16 ms on a quiet machine, and the bound here only finds what has gone quite wrong.
func TestPage_FrameOfManyWorkers(t *testing.T) {
	s := newStage(t)
	s.show(manyWorkers())
	b := visit(t, s, 1600, 1000, "")
	b.Until(drawn + "200")
	for _, zoom := range []string{"whole", "near"} {
		if zoom == "near" {
			for range 5 {
				b.ClickText(".zoom button", "+")
			}
		}
		measureFrames(t, s, b, zoom)
	}
	b.Clean(s.url())
}

func measureFrames(t *testing.T, s *stage, b *browser.Tab, zoom string) {
	t.Helper()
	const updates = 40
	browser.Eval[chromedp.Void](b, follow)
	quiet := taskTime(t, b)
	time.Sleep(10 * 200 * time.Millisecond)
	before := taskTime(t, b)
	quiet = (before - quiet) * 1000 / 10
	random := rand.New(rand.NewPCG(3, 4))
	for range updates {
		s.set(func() { stir(&s.network, random) })
		time.Sleep(200 * time.Millisecond)
	}
	b.Until("frames200.length >= 20")
	busy := (taskTime(t, b) - before) * 1000 / updates
	var frames []frame
	if err := json.Unmarshal([]byte(browser.Eval[string](b, "JSON.stringify(frames200)")), &frames); err != nil {
		t.Fatal(err)
	}
	var whole, script []float64
	for _, f := range frames {
		whole, script = append(whole, f.Script+f.Render), append(script, f.Script)
	}
	slices.Sort(whole)
	slices.Sort(script)
	at := func(all []float64, share float64) float64 { return all[int(share*float64(len(all)-1))] }
	t.Logf("%s picture: a frame takes %.1f ms (p95 %.1f, most %.1f), of it the script %.1f ms (p95 %.1f); all that the page does takes %.1f ms of a processor an update, %.1f ms of it without any; %d of %d updates seen",
		zoom, at(whole, 0.5), at(whole, 0.95), at(whole, 1), at(script, 0.5), at(script, 0.95), busy, quiet, len(frames), updates)
	if got := at(whole, 0.5); got > 200 {
		t.Errorf("a frame takes %.1f ms", got)
	}
}

// taskTime is how many seconds of a processor the page's main thread has used, which others on the machine do not change.
func taskTime(t *testing.T, b *browser.Tab) float64 {
	t.Helper()
	if _, err := chromedp.Call(b.Context(), performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
		t.Fatal(err)
	}
	all, err := chromedp.Call(b.Context(), performance.GetMetrics, cdp.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all.Metrics {
		if m.Name == "TaskDuration" {
			return m.Value
		}
	}
	t.Fatal("the browser does not tell TaskDuration")
	return 0
}
