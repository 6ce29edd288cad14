// Package browser lets tests look at the page in a real Chromium.
package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for the page. Nothing of it is a promise of how fast the page is.
const patience = time.Minute

// axe looks for what keeps people from using a page: https://github.com/dequelabs/axe-core
//
//go:embed axe/axe.min.js
var axe string

// chromium is the browser that the tests share; each has its own profile in it. The process ends with Run.
var chromium struct {
	once  sync.Once
	ctx   context.Context
	close func()
	err   error
}

// Run runs the tests of a package and ends the browser that they used. It is for their TestMain.
func Run(m *testing.M) int {
	defer func() {
		if chromium.close != nil {
			chromium.close()
		}
	}()
	return m.Run()
}

func startChromium(path string) {
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.WSURLReadTimeout(time.Minute))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	chromium.ctx, chromium.err = ctx, chromedp.Do(ctx)
	chromium.close = func() {
		cancel()
		stop()
	}
}

// Tab is one page in a browser profile of its own. What it wrote to the console and what it asked for is kept.
type Tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	console  []string
	requests []string
}

// Open gives an empty tab of this size. Where there is no Chromium the test is left out, but fails in CI.
func Open(t *testing.T, width, height int64) *Tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is not there; apt-get install chromium")
		}
		t.Skip("chromium is not there, so the page is not looked at; apt-get install chromium")
	}
	chromium.once.Do(func() { startChromium(path) })
	if chromium.err != nil {
		t.Fatalf("chromium does not start: %v", chromium.err)
	}
	b := &Tab{t: t}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 4*patience)
	t.Cleanup(stop)
	b.ctx = ctx
	b.Do(chromedp.EmulateViewport(width, height))
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	go func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return // the tab is closed
			}
			b.mu.Lock()
			b.console = append(b.console, m.String()+" "+m.URL)
			b.mu.Unlock()
		}
	}()
	return b
}

func (b *Tab) hear(event any) {
	if e, ok := event.(*network.EventRequestWillBeSent); ok {
		b.mu.Lock()
		b.requests = append(b.requests, e.Request.URL)
		b.mu.Unlock()
	}
}

// Context is the tab's, for what has no method here.
func (b *Tab) Context() context.Context { return b.ctx }

// Do takes steps in the tab, and fails the test when one fails.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Shoot("failed")
		b.t.Fatal(err)
	}
}

// Eval gives the value of an expression in the page.
func Eval[T any](b *Tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Until waits for an expression to become true.
func (b *Tab) Until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) {
			b.Shoot("failed")
			b.t.Fatalf("not within %v: %s (%v)\nthe page says: %.2000s\nconsole: %v", patience, expression, err, Eval[string](b, "document.body.innerText"), b.Said())
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// Shows waits for a text on the page.
func (b *Tab) Shows(text string) {
	b.t.Helper()
	b.Until("document.body.innerText.includes(" + Quoted(text) + ")")
}

// Click waits for an element to be seen, and clicks it.
func (b *Tab) Click(css string) {
	b.t.Helper()
	b.Do(chromedp.Click(chromedp.CSS(css), chromedp.NodeVisible))
}

// ClickText clicks the first button or link whose text begins so.
func (b *Tab) ClickText(within, text string) {
	b.t.Helper()
	find := "[...document.querySelectorAll(" + Quoted(within) + ")].find((e) => e.innerText.trim().startsWith(" + Quoted(text) + ") && !e.disabled)"
	b.Until(find)
	Eval[chromedp.Void](b, find+".click()")
}

// Press presses keys where the focus is.
func (b *Tab) Press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.Do(chromedp.KeyEvent(key))
	}
}

// Prefers sets what the system of the user prefers.
func (b *Tab) Prefers(scheme string) {
	b.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
}

// Shoot keeps a picture of the page where DAMREY_SCREENSHOTS says.
func (b *Tab) Shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("DAMREY_SCREENSHOTS")
	if dir == "" {
		return
	}
	shot, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err != nil {
		b.t.Logf("no screenshot %s: %v", name, err)
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "_")+"-"+name+".png"), shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Said is what the page wrote to the console.
func (b *Tab) Said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.console)
}

// Clean fails when the page complained or asked another origin for something.
func (b *Tab) Clean(origin string) {
	b.t.Helper()
	for _, line := range b.Said() {
		if strings.HasPrefix(line, "error") || strings.HasPrefix(line, "exception") || strings.HasPrefix(line, "warning") {
			b.t.Errorf("on the console: %s", line)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		b.t.Error("no request of the page was seen")
	}
	for _, asked := range b.requests {
		if u, err := url.Parse(asked); err != nil || u.Scheme+"://"+u.Host != origin {
			b.t.Errorf("the page asked for %s, which is not %s", asked, origin)
		}
	}
}

// Accessible runs axe-core on the page as it stands and fails on serious findings.
func (b *Tab) Accessible(what string) {
	b.t.Helper()
	Eval[chromedp.Void](b, axe+";undefined")
	found := Eval[string](b, `axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify({checked: r.passes.length, violations:
		r.violations.map((v) => ({id: v.id, impact: v.impact, nodes: v.nodes.map((n) => n.target.join(' ') + ': ' + n.failureSummary).slice(0, 3)}))}))`)
	var report struct {
		Checked    int
		Violations []struct {
			ID, Impact string
			Nodes      []string
		}
	}
	if err := json.Unmarshal([]byte(found), &report); err != nil {
		b.t.Fatal(err)
	}
	if report.Checked < 5 {
		b.t.Errorf("%s: axe looked at nothing", what)
	}
	for _, v := range report.Violations {
		line := fmt.Sprintf("%s: axe %s (%s): %s", what, v.ID, v.Impact, strings.Join(v.Nodes, "\n  "))
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Error(line)
		} else {
			b.t.Log(line)
		}
	}
}

// Quoted is a string as an expression of JavaScript.
func Quoted(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string can be written
	}
	return string(data)
}
