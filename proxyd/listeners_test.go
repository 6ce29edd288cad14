package proxyd_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

func (r *rig) listeners() api.ListenerList {
	r.t.Helper()
	list, err := r.client().Listeners(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func TestProxy_ListsWhoListensAndIsNoWorker(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 15, 4, 5, 0, time.FixedZone("", 3600))
	var asked string
	r := newRig(t, proxyd.Config{Prefix: "p", ReadOnly: true, Subscribers: func(pattern string) ([]proxyd.Subscriber, int, error) {
		asked = pattern
		return []proxyd.Subscriber{
			{Subject: ">", Name: "all"},
			{Subject: "p.msg.bank.>", Name: "spy", Address: "10.1.2.3:5", Since: since},
			{Subject: "p.msg.bank.>", Name: "10.1.2.3:4222", Leaf: true, Address: "10.1.2.3:6"},
			{Subject: "p.msg.bank.*.*", Queue: "audit", Name: "audit"},
			{Subject: "p.msg.bank.*.*", Queue: "bank", Name: "plain"}, {Subject: "p.msg.bank.*.*", Queue: "bank", Name: "another"},
			{Subject: "p.msg.add.*.*", Queue: "add", Name: "10.1.2.3:4222", Leaf: true},
		}, 3, nil
	}})
	got := r.listeners()
	want := []api.Listener{
		{Subject: ">", Name: "all"},
		{Subject: "p.msg.bank.>", Worker: "bank", Name: "spy", Address: "10.1.2.3:5", Since: since.UTC()},
		{Subject: "p.msg.bank.>", Worker: "bank", Agent: "10.1.2.3:4222", Address: "10.1.2.3:6"},
		{Subject: "p.msg.bank.*.*", Queue: "audit", Worker: "bank", Name: "audit"},
	}
	if asked != "p.msg.*.*.*" || !got.Known || got.More != 3 || !slices.Equal(got.Workers, []string{"add", "bank"}) || !slices.Equal(got.Foreign, want) {
		t.Errorf("asked for %s: %+v", asked, got)
	}
}

func TestProxy_SaysHowManyListenersItLeavesOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Subscribers: func(string) (list []proxyd.Subscriber, more int, err error) {
		for i := range api.MaxListeners + 5 {
			list = append(list, proxyd.Subscriber{Subject: "damrey.msg.>", Name: fmt.Sprint(i)})
		}
		return append(list, proxyd.Subscriber{Subject: "damrey.msg.w.*.*", Queue: "w"}), 7, nil
	}})
	if got := r.listeners(); len(got.Foreign) != api.MaxListeners || got.More != 12 || !slices.Equal(got.Workers, []string{"w"}) {
		t.Errorf("%d, %d more, %v", len(got.Foreign), got.More, got.Workers)
	}
}

func TestProxy_SaysThatItDoesNotKnowWhoListens(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	if got := r.listeners(); got.Known || !strings.Contains(got.Why, "--nats") || got.Foreign == nil || got.Workers == nil {
		t.Errorf("%+v", got)
	}
	r = newRig(t, proxyd.Config{Subscribers: func(string) ([]proxyd.Subscriber, int, error) { return nil, 0, errors.New("it starts anew") }})
	if got := r.must(503, "GET", "/v1/listeners", "").problem(t); !strings.Contains(got.Detail, "it starts anew; try again") {
		t.Errorf("%+v", got)
	}
}
