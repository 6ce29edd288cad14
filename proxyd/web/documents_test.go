package web_test

import (
	"fmt"
	"net/url"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func queryEscaped(s string) string { return url.PathEscape(s) }

// someInstances are those of fewWorkers, whose messages they share; one of bank's was lost.
func someInstances() api.InstanceList {
	list := api.InstanceList{At: time.Now(), Since: time.Now().Add(-time.Hour)}
	rates := map[string]float64{"entry": 0.4, "add": 120, "square": 119.5, "bank": 61, "mail": 15}
	for i, worker := range []string{"entry", "add", "add", "square", "square", "bank", "bank", "mail"} {
		list.Instances = append(list.Instances, api.Instance{
			Worker: worker, ID: fmt.Sprintf("Qm3%dxKp7%dRv2", i, i), Version: "0.5.0", Host: fmt.Sprintf("machine-%d", 1+i%3), PID: 4000 + 17*i,
			Agent: "10.1.2.3:4222", Program: worker, Started: time.Now().Add(-3 * time.Hour), Heard: time.Now().Add(-2 * time.Second), State: "ready",
			InFlight: 1, Capacity: 100, Rate: rates[worker], P99: 11.9, Counts: map[string]uint64{"reconnects": 2},
		})
	}
	bank := &list.Instances[5]
	bank.Errors, bank.P99, bank.Capacity, bank.InFlight, bank.Queued = bankFails, 2100, bankMPU, bankMPU, bankQueue
	lose(&list.Instances[6])
	return list
}

// bankInstance is the one of bank's that is there.
const bankInstance = "Qm35xKp75Rv2"

// lose makes an instance one that was lost a minute ago.
func lose(i *api.Instance) {
	i.State, i.Heard = "lost", time.Now().Add(-time.Minute)
	i.Rate, i.P99, i.Errors, i.InFlight, i.Queued = 0, 0, 0, 0, 0
}

func someLetters() []api.DeadDetail {
	var letters []api.DeadDetail
	for i := range 9 {
		text := fmt.Sprintf("card declined by issuer %d: try again later", 4711+i)
		if i%4 == 3 {
			text = "no such account"
		}
		if i == 8 {
			text = "worker bank is paused"
		}
		letters = append(letters, api.DeadDetail{
			DeadLetter: api.DeadLetter{
				Sequence: uint64(i + 1), Worker: "bank", Type: "pay", From: "square", ID: fmt.Sprintf("order-%d", i), Error: text, Failures: 5, Delivered: 5,
				Instance: "Qm35xKp75Rv2", Time: time.Now().Add(-time.Duration(i) * time.Hour), Size: 40, Message: []string{"SEND", "pay", fmt.Sprint(40 + i), "EUR"},
			},
			Headers: map[string][]string{"Damrey-Failures": {"5"}},
		})
	}
	return letters
}

func someAlarms() api.AlarmList {
	fired := time.Now().Add(-3 * time.Minute)
	return api.AlarmList{Alarms: []api.Alarm{
		{ID: "no_instance:square", Rule: "no_instance", Severity: "critical", State: api.AlarmFiring, About: "square", Worker: "square",
			Text: "routes lead to square, and no instance of it is ready", Do: "damrey worker run square -- COMMAND", Hint: "for more instances", Since: fired, Fired: &fired, Count: 3},
		{ID: "errors:square→pay→bank", Rule: "errors", Severity: "warning", State: api.AlarmFiring, About: "square→pay→bank", Worker: "bank",
			Text: "8 % of the messages along square→pay→bank fail", Do: "damrey dead ls --worker bank", Value: bankFails, Limit: 0.05, Since: fired, Fired: &fired, Count: 1,
			Acked: &api.Ack{By: "Ada", Why: "the issuer knows", At: time.Now()}},
		{ID: "slow:entry→add→add", Rule: "slow", Severity: "info", State: api.AlarmResolved, About: "entry→add→add", Worker: "add", Text: "p99 of entry→add→add was above 50 ms", Since: fired, Count: 1},
	}}
}

func someTrace() api.Trace {
	begin := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	at := func(ms float64) time.Time { return begin.Add(time.Duration(ms * float64(time.Millisecond))) }
	span := func(id, parent, kind, from, of, to, worker string, hop int, from0, took float64) api.Span {
		return api.Span{ID: id, Parent: parent, Kind: kind, From: from, Type: of, To: to, Worker: worker, Instance: "Qm3" + worker, Hop: hop, Begin: at(from0), Duration: took, Outcome: "ok", Kept: "failed"}
	}
	spans := []api.Span{
		span("a0", "", "send", "entry", "add", "add", "entry", 0, 0, 182.4),
		span("a1", "a0", "wait", "entry", "add", "add", "add", 0, 0.6, 1.2),
		span("a2", "a0", "handle", "entry", "add", "add", "add", 0, 1.8, 4.1),
		span("a3", "a2", "forward", "add", "square", "square", "add", 1, 5.4, 0.4),
		span("a4", "a3", "wait", "add", "square", "square", "square", 1, 6.6, 21),
		span("a5", "a3", "handle", "add", "square", "square", "square", 1, 27.6, 140.2),
		span("a6", "a5", "forward", "square", "pay", "bank", "square", 2, 167.2, 0.6),
		span("a7", "a6", "handle", "square", "pay", "bank", "bank", 2, 168.9, 12.2),
	}
	spans[7].Outcome, spans[7].Error = "error", "card declined by issuer 4711"
	return api.NewTrace("4bf92f3577b34da6a3ce929d0e0e4736", spans, time.Hour)
}

func someWorkers() api.WorkerList {
	row := func(name string, commands ...damrey.Command) api.Worker {
		return api.Worker{Registration: damrey.Registration{Name: name, MPU: 100, Commands: commands}, Revision: 12, Updated: time.Now().Add(-time.Hour)}
	}
	return api.WorkerList{Workers: []api.Worker{
		row("add", damrey.Command{Name: "square", Worker: "square"}),
		row("entry", damrey.Command{Name: "add", Worker: "add"}, damrey.Command{Name: "audit", Worker: "mail"}),
		row("square", damrey.Command{Name: "pay", Worker: "bank", Delivery: damrey.Durable}),
	}}
}

func someHistory() api.WorkerHistory {
	was := damrey.Registration{Name: "square", MPU: 5}
	is := damrey.Registration{Name: "square", MPU: 7, Commands: []damrey.Command{{Name: "pay", Worker: "bank", Delivery: damrey.Durable}}}
	return api.WorkerHistory{Worker: "square", Revisions: []api.WorkerRevision{
		{Revision: 12, At: time.Now().Add(-time.Hour), Changes: []string{"mpu 5 → 7", "route pay → bank added"}, Registration: &is},
		{Revision: 2, At: time.Now().Add(-2 * time.Hour), Changes: []string{"added", "mpu default → 5"}, Registration: &was},
	}}
}

// forge puts a text wherever somebody could have put one.
func forge(s *stage, text string) {
	s.failures = []api.LastError{{At: time.Now(), Code: text, Text: text, Instance: text}}
	instances := someInstances()
	i := &instances.Instances[0]
	i.Worker, i.ID, i.Host, i.Agent, i.Version, i.Program = text, text, text, text, text, text
	s.docs["/v1/instances"] = instances
	letter := someLetters()[0]
	letter.Sequence, letter.Error, letter.Worker, letter.Type, letter.From, letter.ID, letter.Message = 7, text, text, text, text, text, []string{"SEND", text, text}
	letter.Headers = map[string][]string{text: {text}}
	s.dead = []api.DeadDetail{letter}
	trace := someTrace()
	trace.ID, trace.Route = text, text
	for i := range trace.Path {
		trace.Path[i].Worker, trace.Path[i].Type, trace.Path[i].To, trace.Path[i].Error = text, text, text, text
	}
	s.docs["/v1/traces"] = api.TraceList{Traces: []api.TraceHead{trace.TraceHead}}
	s.docs["/v1/traces/"+text] = trace
	alarms := someAlarms()
	a := &alarms.Alarms[0]
	a.Rule, a.About, a.Worker, a.Text, a.Do, a.Hint = text, text, text, text, text, text
	a.Acked, a.Silenced = &api.Ack{By: text, Why: text}, &api.Silence{By: text, Why: text, Until: time.Now()}
	s.docs["/v1/alarms"] = alarms
	history := someHistory()
	history.Revisions[0].Changes, history.Revisions[1].Problem = []string{text}, text
	s.docs["/v1/workers/"+text+"/history"] = history
	s.docs["/v1/workers"] = api.WorkerList{Damaged: []api.Damaged{{Name: text, Problem: text}}, Workers: []api.Worker{}}
}
