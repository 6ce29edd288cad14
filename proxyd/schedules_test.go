package proxyd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/cron"
	"github.com/damrey/damrey/proxyd"
)

// newScheduleRig is a deadRig with a durable route order and a direct one now, from src to w.
func newScheduleRig(t *testing.T) *deadRig {
	t.Helper()
	r := newDeadRig(t)
	r.register("w")
	r.register("src", durably("order", "w"), damrey.Command{Name: "now", Worker: "w"})
	eventually(t, "the stream is made", func() bool {
		_, err := r.js.Consumer(t.Context(), "DAMREY_LATER", bucket.LaterConsumer)
		return err == nil
	})
	return r
}

func (r *deadRig) schedules() []api.Schedule {
	r.t.Helper()
	list, err := r.api.Schedules(r.t.Context(), api.ScheduleFilter{})
	if err != nil {
		r.t.Fatal(err)
	}
	return list.Schedules
}

func TestSchedules_AreListedAndRemoved(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	before := time.Now()
	for i, s := range []api.NewSchedule{
		{ID: "a.b c/d", From: "src", Type: "order", Args: []string{"x", "y z"}, Every: "90m"},
		{ID: "daily", From: "src", Type: "now", Cron: "0 8 * * *", TimeZone: "Europe/Berlin"},
		{ID: "once", From: "src", Type: "now", At: before.Add(time.Hour).Format(time.RFC3339)},
		{ID: "soon", From: "src", Type: "now", In: "30m"},
	} {
		for again := range 2 {
			got, err := r.api.AddSchedule(t.Context(), s)
			if err != nil || got.ID != s.ID || got.Sequence != uint64(i+1) {
				t.Fatalf("%s, time %d: %+v, %v", s.ID, again, got, err)
			}
		}
	}
	_, err := r.api.AddSchedule(t.Context(), api.NewSchedule{ID: "soon", From: "src", Type: "now", In: "31m"})
	if status(err) != 409 || !strings.Contains(err.Error(), "(in 30m0s)") || !strings.Contains(err.Error(), "`damrey schedule rm soon`") {
		t.Errorf("%v", err)
	}
	all := r.schedules()
	for i, want := range []struct {
		asked string
		next  time.Duration
	}{{"every 1h30m0s", 90 * time.Minute}, {"cron 0 0 8 * * * Europe/Berlin", 0}, {"at ", time.Hour}, {"in 30m0s", 30 * time.Minute}} {
		if i >= len(all) {
			t.Fatalf("%d schedules", len(all))
		}
		s := all[i]
		if !strings.HasPrefix(s.Asked, want.asked) || s.From != "src" || s.Due || s.Error != "" || s.Next == nil {
			t.Errorf("%+v", s)
			continue
		}
		if want.next > 0 && (s.Next.Before(before.Add(want.next-2*time.Second)) || s.Next.After(time.Now().Add(want.next+2*time.Second))) {
			t.Errorf("%s is next at %v", s.ID, s.Next)
		}
	}
	if !slices.Equal(all[0].Message, []string{"REQUEST", "order", "x", "y z"}) {
		t.Errorf("%q", all[0].Message)
	}
	page, err := r.api.Schedules(t.Context(), api.ScheduleFilter{Limit: 2, After: 1})
	if err != nil || len(page.Schedules) != 2 || page.Schedules[0].ID != "daily" || page.Next != 3 || page.Total != 4 {
		t.Errorf("%+v, %v", page, err)
	}
	for _, s := range all {
		if err := r.api.DeleteSchedule(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
		if err := r.api.DeleteSchedule(t.Context(), s.ID); status(err) != 404 || !strings.Contains(err.Error(), "`damrey schedule ls`") {
			t.Errorf("%v", err)
		}
	}
	if left := r.schedules(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}

func TestSchedules_FireOnceEachWithTwoProxies(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	other := startProxy(t, r.srv, proxyd.Config{})
	await(t, other.proxy.Ready())
	type call struct{ arg, id string }
	got := make(chan call, 100)
	r.serve("w", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		got <- call{in.Arg(0), damrey.MessageID(ctx)}
		return nil, nil
	})
	for _, s := range []api.NewSchedule{
		{ID: "tick", From: "src", Type: "order", Args: []string{"tick"}, Every: "1s"},
		{ID: "tock", From: "src", Type: "order", Args: []string{"tock"}, Cron: "* * * * * *"},
		{ID: "once", From: "src", Type: "order", Args: []string{"once"}, In: "1s"},
	} {
		if _, err := r.api.AddSchedule(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	counts, seen := map[string]int{}, map[string]bool{}
	for end := time.After(30 * time.Second); counts["tick"] < 4 || counts["tock"] < 4 || counts["once"] < 1; {
		select {
		case c := <-got:
			if seen[c.id] {
				t.Errorf("%v twice", c)
			}
			seen[c.id] = true
			counts[c.arg]++
		case <-end:
			t.Fatalf("%v", counts)
		}
	}
	if counts["once"] != 1 {
		t.Errorf("%v", counts)
	}
	for _, s := range r.schedules() {
		if s.ID != "once" && !s.Due && (s.Last == nil || s.Next == nil || s.Next.Before(*s.Last)) {
			t.Errorf("%+v", s)
		}
	}
}

// What is due and cannot go on is listed with its reason, goes along the route of then, and can be taken back.
func TestSchedules_WhatIsStuckIsShown(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	r.register("src", damrey.Command{Name: "now", Worker: "w", Paused: true})
	for _, id := range []string{"stuck", "back"} {
		if _, err := r.api.AddSchedule(t.Context(), api.NewSchedule{ID: id, From: "src", Type: "now", Args: []string{id}, In: "0s"}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both are due and held", func() bool {
		all := r.schedules()
		return len(all) == 2 && !slices.ContainsFunc(all, func(s api.Schedule) bool {
			return !s.Due || s.Next != nil || !strings.Contains(s.Error, "paused")
		})
	})
	if err := r.api.DeleteSchedule(t.Context(), "back"); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	r.register("v")
	r.serve("v", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { got <- in.Arg(0); return nil, nil })
	r.register("src", damrey.Command{Name: "now", Worker: "v"})
	select {
	case arg := <-got:
		if arg != "stuck" {
			t.Errorf("%q arrived", arg)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived")
	}
	eventually(t, "nothing is left", func() bool { return len(r.schedules()) == 0 })
}

func TestSchedules_DelayedMessagesAreListedAndRemoved(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	src, _ := r.serve("src", nil)
	for _, opts := range [][]damrey.SendOption{
		{damrey.WithDelay(time.Hour), damrey.WithID("order 42")}, {damrey.WithDelay(time.Hour)},
	} {
		if err := src.With(opts...).Send(t.Context(), "order", "\xff"); err != nil {
			t.Fatal(err)
		}
	}
	all := r.schedules()
	if len(all) != 2 || all[0].ID != "order 42" || all[1].ID == "" || all[0].Asked != "delay 1h0m0s" || all[0].Message != nil {
		t.Fatalf("%+v", all)
	}
	for _, s := range all {
		if err := r.api.DeleteSchedule(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
	}
	if left := r.schedules(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}

func TestSchedules_BadInput(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for body, want := range map[string][]string{
		`{"id":"a","from":"src","type":"now"}`:                                     {"when is missing"},
		`{"id":"a","from":"src","type":"now","every":"5m","in":"5m"}`:              {"every and in: give exactly one"},
		`{"id":"a","from":"src","type":"now","every":"999ms"}`:                     {"body.every", "less than a second"},
		`{"id":"a","from":"src","type":"now","every":"1500ms"}`:                    {"whole seconds only, such as 2s"},
		`{"id":"a","from":"src","type":"now","every":"9000h"}`:                     {"over a year"},
		`{"id":"a","from":"src","type":"now","every":"soon"}`:                      {`\"soon\" is no duration`},
		`{"id":"a","from":"src","type":"now","at":"` + past + `"}`:                 {past + " has passed, it is ", "`damrey send`"},
		`{"id":"a","from":"src","type":"now","at":"2999-01-01T00:00:00Z"}`:         {"over a year away"},
		`{"id":"a","from":"src","type":"now","at":"tomorrow"}`:                     {`\"tomorrow\" is no time; use one such as 2`},
		`{"id":"a","from":"src","type":"now","in":"-5m"}`:                          {"is negative"},
		`{"id":"a","from":"src","type":"now","in":"9000h"}`:                        {"over a year"},
		`{"id":"a","from":"src","type":"now","cron":"0 25 * * *"}`:                 {"body.cron", "field 2 of", "the hour: 25 is out of range", "is 8:00 from Monday to Friday"},
		`{"id":"a","from":"src","type":"now","cron":"* * *"}`:                      {"has 3 fields"},
		`{"id":"a","from":"src","type":"now","cron":"0 8 * * *","tz":"Mars/Base"}`: {"body.tz", "such as Europe/Berlin"},
		`{"id":"a","from":"src","type":"now","every":"5m","tz":"UTC"}`:             {"a time zone is for cron"},
		`{"id":"","from":"src","type":"now","every":"5m"}`:                         {"body.id", "nightly-report"},
		`{"id":"a\nb","from":"src","type":"now","every":"5m"}`:                     {"0x0a at position 2"},
		`{"id":"a","from":"","type":"now","every":"5m"}`:                           {"body.from"},
		`{"id":"a","from":"no one","type":"now","every":"5m"}`:                     {"character ' ' at position 3"},
		`{"id":"a","from":"nobody","type":"now","every":"5m"}`:                     {`\"nobody\" is not registered`, "`damrey worker add nobody --command now=WORKER`"},
		`{"id":"a","from":"src","type":"other","every":"5m"}`:                      {`no route for type \"other\"`, "`damrey worker chg src --command other=WORKER`"},
		`{"id":"a","from":"src","type":"a.b","every":"5m"}`:                        {"body.type"},
		`{"id":"a","from":"src","type":"now","every":"5m","color":"red"}`:          {"unexpected property", "color"},
	} {
		got := r.do("POST", "/v1/schedules", body, "Content-Type: application/json")
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
		text := strings.NewReplacer(`\u0026`, "&").Replace(got.body)
		for _, says := range want {
			if !strings.Contains(text, says) {
				t.Errorf("%s says nothing of %s: %s", body, says, text)
			}
		}
	}
	if left := r.schedules(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}

// What our check of cron lets pass the broker takes, and the reverse.
func TestSchedules_CronIsWhatTheBrokerTakes(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	for i, text := range []string{
		"* * * * * *", "0 0 8 * * 1-5", "*/10 0,30 8-18/2 ? jan-MAR mon,FRI", "59 59 23 31 12 6", "5/15 * * * * *", "0 0 0 29 2 *",
		"@daily", "@hourly", "@yearly", "0 0 0 1 * 0",
		"60 * * * * *", "* 60 * * * *", "* * 24 * * *", "* * * 0 * *", "* * * 32 * *", "* * * * 13 *", "* * * * 0 *", "* * * * * 8",
		"0 0 0 30 2 *", "*/0 * * * * *", "a * * * * *", "5-2 * * * * *", "1-2-3 * * * * *", "1/2/3 * * * * *", "@never", "* * * foo * *",
	} {
		p, err := cron.Parse(text)
		pattern := text
		if err == nil {
			pattern = p.String()
		}
		s := damrey.Schedule{ID: fmt.Sprint("c", i), From: "src", Type: "now", Payload: []byte(`["REQUEST","now"]`), Pattern: pattern, Asked: "cron"}
		_, refused := r.js.PublishMsg(t.Context(), s.Message("damrey", s.ID))
		if (err == nil) != (refused == nil) {
			t.Errorf("%q: we say %v, the broker says %v", text, err, refused)
		}
	}
}

func TestSchedules_WhatIsWrittenByHandDoesNotBreakTheList(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	for _, m := range []*nats.Msg{
		{Subject: "damrey.later.x!", Data: []byte("nonsense")},
		{Subject: "damrey.later.y", Header: nats.Header{jetstream.ScheduleHeader: {"@every 1h"}, jetstream.ScheduleTargetHeader: {"damrey.due.odd"}}},
	} {
		if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	all := r.schedules()
	if len(all) != 2 || !strings.Contains(all[0].Error, "damrey.later.x!") || !strings.Contains(all[1].Error, "damrey.due.odd") {
		t.Fatalf("%+v", all)
	}
	if all[0].ID != "x!" || all[0].Text != "nonsense" || all[1].ID != "y" {
		t.Errorf("%+v", all)
	}
	for _, s := range all {
		if err := r.api.DeleteSchedule(t.Context(), s.ID); err != nil {
			t.Errorf("%s cannot be removed: %v", s.ID, err)
		}
	}
	// What came due on no right subject is a dead letter.
	if _, err := r.js.Publish(t.Context(), "damrey.due.odd", []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a dead letter", func() bool {
		letters := r.list(api.DeadFilter{}).Letters
		return len(letters) == 1 && strings.Contains(letters[0].Error, "damrey.due.odd")
	})
}

// A program without the library sends later by JetStream's own headers.
func TestSchedules_OfAPlainProgramGoOn(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	got := make(chan damrey.Msg, 1)
	r.serve("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { got <- in; return nil, nil })
	for key, at := range map[string]time.Time{"soon": time.Now(), "never": time.Now().Add(time.Hour)} {
		m := nats.NewMsg("damrey.later." + key)
		m.Data = []byte(`["REQUEST","order","` + key + `"]`)
		m.Header.Set("Nats-Schedule", "@at "+at.UTC().Format(time.RFC3339))
		m.Header.Set("Nats-Schedule-Target", "damrey.due.order.src."+key)
		if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case in := <-got:
		if in.Arg(0) != "soon" {
			t.Errorf("%q", in)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived")
	}
	eventually(t, "the other waits", func() bool { all := r.schedules(); return len(all) == 1 && all[0].ID == "never" })
	if err := r.api.DeleteSchedule(t.Context(), "never"); err != nil {
		t.Error(err)
	}
}

// A bad server is told from a bad pattern before anything is stored.
func TestSchedules_TheBrokersRefusalIsSaid(t *testing.T) {
	t.Parallel()
	r := newScheduleRig(t)
	// As a server would be that knows no schedules: the stream takes none.
	if err := r.js.DeleteStream(t.Context(), "DAMREY_LATER"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a stream without schedules is there", func() bool {
		_, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"damrey.later.>"}})
		return err == nil
	})
	_, err := r.api.AddSchedule(t.Context(), api.NewSchedule{ID: "a", From: "src", Type: "now", In: "1h"})
	if err == nil || !strings.Contains(err.Error(), "message schedules is disabled") {
		t.Errorf("%v", err)
	}
}

func TestSchedules_AreInTheOpenAPIDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(r.must(200, "GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	if p := document.Paths; p["/v1/schedules"]["get"] == nil || p["/v1/schedules"]["post"] == nil || p["/v1/schedules/{id}"]["delete"] == nil {
		t.Errorf("%v", p)
	}
}
