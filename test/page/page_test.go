//go:build unix

package page

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/browser"
)

func TestMain(m *testing.M) { os.Exit(browser.Run(m)) }

// One fabric for all, since starting it takes the most time. What follows a line changes nothing that the next one looks at.
func TestPage_OfARunningFabric(t *testing.T) {
	browser.Open(t, 100, 100) // without a browser nothing need be built
	f := startFabric(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *fabric)
	}{
		{"picture", seesThePicture},
		{"keyboard", reachesAPanelByKeys},
		{"tap", tapsMessages},
		{"trace", findsTheSlowHop},
		{"dead letter", retriesADeadLetter},
		{"killed worker", seesAWorkerDie},
		{"all views", looksAtAllViews},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, f) })
	}
}

// visit opens a view.
func (f *fabric) visit(t *testing.T, width, height int64, hash string) *browser.Tab {
	t.Helper()
	b := browser.Open(t, width, height)
	b.Do(chromedp.Navigate(f.rest + "/" + hash))
	return b
}

const drawn = "document.querySelectorAll('.node').length === 5"

// node is the node of a worker, and edge the one that says it so, as expressions.
func node(worker string) string {
	return "[...document.querySelectorAll('.node')].find((n) => n.getAttribute('aria-label').startsWith(" + browser.Quoted(worker+",") + "))"
}

func edge(title string) string {
	return "[...document.querySelectorAll('.edge')].find((e) => e.querySelector('title').textContent === " + browser.Quoted(title) + ")"
}

func seesThePicture(t *testing.T, f *fabric) {
	b := f.visit(t, 1280, 800, "")
	b.Until(drawn)
	for _, title := range []string{"entry → add: add", "add → square: square"} {
		b.Until(edge(title) + "?.classList.contains('ok')")
		if browser.Eval[bool](b, edge(title)+".matches('.silent, .undeclared, .backward')") {
			t.Errorf("%s is drawn as no route that is used", title)
		}
	}
	b.Until(edge("entry → slow: crawl") + ".classList.contains('silent')")
	for _, worker := range []string{"add", "square"} {
		b.Until("parseFloat(" + node(worker) + ".querySelector('.rate').textContent) > 1")
		b.Until(node(worker) + ".querySelector('.ready').textContent === '1/1'")
	}
	b.Until("[...document.querySelectorAll('.label text')].filter((t) => parseFloat(t.textContent) > 1 && t.textContent.endsWith('/s')).length === 2")
	if place := browser.Eval[string](b, "['entry', 'add', 'square'].map((w) => [...document.querySelectorAll('.node')].find((n) => n.getAttribute('aria-label').startsWith(w + ',')).getBoundingClientRect().x).map((x, i, all) => i === 0 || x > all[i - 1]).join()"); place != "true,true,true" {
		t.Errorf("the line does not go from left to right: %s", place)
	}
	b.Shows("live")
	b.Shoot("light")
	b.Accessible("network")
	browser.Eval[chromedp.Void](b, "location.hash = '#/?node=add'")
	b.Until("document.querySelectorAll('.panel .u-over').length >= 2 && document.querySelectorAll('.panel table tbody tr').length >= 3")
	b.Shows("micro stats add")
	b.Shoot("panel")
	b.Accessible("panel of a node")
	browser.Eval[chromedp.Void](b, "location.hash = '#/?edge=' + encodeURIComponent('add→square')")
	b.Until("document.querySelector('.panel h2').textContent === 'add → square' && document.querySelectorAll('.panel .u-over').length === 2")
	b.Shoot("edge")
	b.Accessible("panel of an edge")
	b.Clean(f.rest)
}

func reachesAPanelByKeys(t *testing.T, f *fabric) {
	b := f.visit(t, 1280, 800, "")
	b.Until(drawn)
	b.Press(kb.Tab)
	b.Until("document.activeElement.className === 'skip'")
	b.Press(kb.Enter)
	b.Until("document.activeElement.id === 'main'")
	for range 15 {
		if browser.Eval[bool](b, "document.activeElement.classList.contains('node')") {
			break
		}
		b.Press(kb.Tab)
	}
	b.Until("document.activeElement.classList.contains('node')")
	first := browser.Eval[string](b, "document.activeElement.getAttribute('aria-label').split(',')[0]")
	b.Press(kb.ArrowRight)
	b.Until("document.activeElement.classList.contains('node') && document.activeElement.getAttribute('aria-label').split(',')[0] !== " + browser.Quoted(first))
	name := browser.Eval[string](b, "document.activeElement.getAttribute('aria-label').split(',')[0]")
	b.Press(kb.Enter)
	b.Until("document.querySelector('.panel h2')?.textContent === " + browser.Quoted(name))
	b.Press(kb.Escape)
	b.Until("!document.querySelector('.panel') && document.activeElement.classList.contains('node')")
	b.Clean(f.rest)
}

func tapsMessages(t *testing.T, f *fabric) {
	b := f.visit(t, 1280, 800, "#/tap?to=square")
	rows := "[...document.querySelectorAll('.tap tbody tr')]"
	b.Until(rows + ".length >= 3")
	if text := browser.Eval[string](b, "document.querySelector('.tap').innerText"); strings.Contains(text, `"7"`) || strings.Contains(text, "arguments") {
		t.Errorf("arguments are shown that nobody asked for: %s", text)
	}
	b.Until(rows + ".every((r) => r.innerText.includes('add') && r.innerText.includes('square') && r.innerText.includes('response'))")
	b.Accessible("tap")
	b.Click("input[type=checkbox]")
	b.Until(rows + `.filter((r) => r.querySelector('code')?.textContent === '"7"').length >= 3`)
	b.Shoot("arguments")
	b.Accessible("tap with arguments")
	b.ClickText("button", "Pause")
	b.Shows("Paused.")
	b.Clean(f.rest)
}

func findsTheSlowHop(t *testing.T, f *fabric) {
	f.damrey("trace", "entry", "crawl", "page")
	b := f.visit(t, 1280, 800, "#/traces")
	b.Until("[...document.querySelectorAll('tbody tr')].some((r) => r.innerText.includes('entry→crawl→slow'))")
	b.Shoot("list")
	b.Accessible("traces")
	browser.Eval[chromedp.Void](b, "[...document.querySelectorAll('tbody tr')].find((r) => r.innerText.includes('entry→crawl→slow')).querySelector('a').click()")
	b.Until("document.querySelectorAll('.waterfall li').length >= 6") // send, then wait, handle and forward of slow, wait and handle of square
	if slow := browser.Eval[string](b, "[...document.querySelectorAll('.waterfall .slow .span-name')].map((s) => s.innerText).join()"); !strings.HasPrefix(slow, "slow handle") {
		t.Errorf("the slow hop is said to be %q", slow)
	}
	b.Shows("most time in")
	b.ClickText(".waterfall button", "square handle")
	b.Shows("slow→square→square")
	b.Shoot("waterfall")
	b.Accessible("trace")
	b.Clean(f.rest)
}

func retriesADeadLetter(t *testing.T, f *fabric) {
	f.damrey("send", "entry", "pay", "7 EUR")
	b := f.visit(t, 1280, 800, "#/dead")
	b.Shows("no account 4711")
	b.Shows(`"7 EUR"`)
	b.Shoot("letter")
	b.Accessible("dead letters")
	must(t, os.WriteFile(f.account, nil, 0o600))
	b.Click("button[aria-label^='Retry letter']")
	b.Until("document.querySelector('dialog')")
	b.Accessible("retry")
	b.Click("dialog button[type=submit]")
	b.Shows("None: nothing that was stored has failed for good.")
	b.Shoot("gone")
	eventually(t, "the proxy says that there is none", func() bool { return !strings.Contains(f.damrey("dead", "ls"), "7 EUR") })
	b.Clean(f.rest)
}

func seesAWorkerDie(t *testing.T, f *fabric) {
	for _, rule := range []string{"no_instance", "instance_lost", "undelivered", "timeouts", "errors"} {
		f.put("/v1/alarm-rules/"+rule, api.AlarmRuleChange{For: "1s", Keep: "1s"})
	}
	b := f.visit(t, 1280, 800, "")
	b.Until(drawn)
	b.Until(node("square") + "?.classList.contains('ok')")
	alarms := f.visit(t, 1280, 800, "#/alarms")
	f.square.end(syscall.SIGKILL)
	b.Until(node("square") + "?.classList.contains('failing')")
	b.Until("document.querySelector('nav .count')?.textContent >= '1'")
	b.Shoot("red")
	b.Accessible("red")
	firing := "[...document.querySelectorAll('li.alarm.firing')].filter((a) => a.innerText.includes('no_instance') && a.innerText.includes('square')).length"
	alarms.Until(firing + " === 1")
	alarms.Shoot("firing")
	alarms.Accessible("firing")
	f.startSquare()
	b.Until(node("square") + "?.classList.contains('ok')")
	alarms.Until(firing + " === 0")
	alarms.Until("[...document.querySelectorAll('li.alarm.resolved')].some((a) => a.innerText.includes('no_instance') && a.innerText.includes('square'))")
	b.Until("!document.querySelector('.node.failing')")
	alarms.Shoot("resolved")
	b.Shoot("back")
	b.Clean(f.rest)
	alarms.Clean(f.rest)
}

// What has an address in each view, and what it shows when all is there.
var views = []struct{ hash, shown string }{
	{"", drawn},
	{"?node=square", "document.querySelector('.panel table')"},
	{"workers", "document.querySelectorAll('tbody tr').length >= 5"},
	{"traces", "document.querySelector('tbody tr')"},
	{"tap?args=1", "document.querySelector('.tap tbody tr')"},
	{"dead", "document.body.innerText.includes('None: nothing')"},
	{"alarms", "document.querySelector('li.alarm')"},
	{"table", "document.querySelectorAll('table.routes tbody tr').length >= 5"},
	{"table/entry", "document.body.innerText.includes('kv history')"},
	{"events", "document.querySelector('tbody tr')"},
}

// Dark and on a phone.
func looksAtAllViews(t *testing.T, f *fabric) {
	b := browser.Open(t, 1280, 800)
	b.Prefers("dark")
	b.Do(chromedp.Navigate(f.rest + "/"))
	b.Until(drawn)
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"dark", 1280, 800}, {"small", 375, 740}} {
		b.Do(chromedp.EmulateViewport(size.width, size.height))
		for _, v := range views {
			browser.Eval[chromedp.Void](b, "location.hash = '#/"+v.hash+"'")
			b.Until(v.shown)
			name := size.name + "-" + strings.NewReplacer("/", "-", "?", "-").Replace(v.hash)
			if wide := browser.Eval[int64](b, "document.documentElement.scrollWidth"); wide > size.width {
				t.Errorf("%s is %d wide on a screen of %d", name, wide, size.width)
			}
			b.Shoot(name)
			b.Accessible(name)
		}
	}
	b.Clean(f.rest)
}
