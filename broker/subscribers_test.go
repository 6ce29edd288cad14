package broker_test

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/broker"
)

const messages = "damrey.msg.*.*.*"

// subscribe is heard of by the server when it returns. Without a queue group it is empty.
func subscribe(t *testing.T, nc *nats.Conn, subject, queue string) {
	t.Helper()
	if _, err := nc.QueueSubscribe(subject, queue, func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
}

// overTCP connects as clients of other processes do.
func overTCP(t *testing.T, url, name string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.Name(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// subscribers without the times and addresses, which it checks.
func subscribers(t *testing.T, b *broker.Broker, inProcess ...string) (all []broker.Subscriber) {
	t.Helper()
	list, more, err := b.Subscribers(messages, 100)
	if err != nil || more != 0 {
		t.Fatal(more, err)
	}
	for _, s := range list {
		host, _, _ := net.SplitHostPort(s.Address)
		if within := slices.Contains(inProcess, s.Name); within != (s.Address == "") || !within && host != "127.0.0.1" {
			t.Errorf("%s has the address %q", s.Name, s.Address)
		}
		if s.Since.IsZero() || s.Since.After(time.Now()) {
			t.Errorf("%s is there since %v", s.Name, s.Since)
		}
		s.Address, s.Since = "", time.Time{}
		all = append(all, s)
	}
	return all
}

func TestBroker_TellsWhoSubscribes(t *testing.T) {
	t.Parallel()
	b := startBroker(t, broker.Config{})
	near, far := connect(t, b, nats.Name("near")), overTCP(t, b.ClientURL(), "far")
	for _, s := range []struct{ subject, queue string }{
		{"damrey.msg.bank.*.*", "bank"}, {"damrey.msg.bank.>", ""}, {"damrey.msg.bank.>", "spy"}, {">", ""}, {"*.msg.*.pay.shop", ""},
		{"damrey.msg.bank", ""}, {"damrey.msg.bank.*", ""}, {"damrey.msg.bank.*.*.*", ""}, {"damrey.event.>", ""}, {"other.msg.>", ""},
	} {
		subscribe(t, far, s.subject, s.queue)
	}
	subscribe(t, near, "damrey.msg.shop.*.*", "shop")
	want := []broker.Subscriber{
		{Subject: "*.msg.*.pay.shop", Name: "far"}, {Subject: ">", Name: "far"}, {Subject: "damrey.msg.bank.>", Name: "far"},
		{Subject: "damrey.msg.bank.*.*", Queue: "bank", Name: "far"}, {Subject: "damrey.msg.shop.*.*", Queue: "shop", Name: "near"},
		{Subject: "damrey.msg.bank.>", Queue: "spy", Name: "far"},
	}
	if got := subscribers(t, b, "near"); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	far.Close()
	eventually(t, "who is gone is not told of", func() bool { return len(subscribers(t, b, "near")) == 1 })
}

func TestBroker_TellsWhichAgentSubscribes(t *testing.T) {
	t.Parallel()
	b := startBroker(t, broker.Config{})
	nc := overTCP(t, startLeaf(t, agentName, b.LeafURL()).ClientURL(), "behind it")
	subscribe(t, nc, "damrey.msg.bank.>", "")
	subscribe(t, nc, "damrey.msg.bank.*.*", "bank")
	want := []broker.Subscriber{
		{Subject: "damrey.msg.bank.>", Name: agentName, Leaf: true}, {Subject: "damrey.msg.bank.*.*", Queue: "bank", Name: agentName, Leaf: true},
	}
	eventually(t, "both subscriptions crossed the leaf", func() bool { return slices.Equal(subscribers(t, b), want) })
}

// Those that are likely to have no business there are told first, and what is left out is counted.
func TestBroker_SaysHowManySubscribersAreLeftOut(t *testing.T) {
	t.Parallel()
	b := startBroker(t, broker.Config{})
	nc := connect(t, b)
	for i := range 20 {
		subscribe(t, nc, "damrey.msg.w"+strconv.Itoa(i)+".*.*", "w"+strconv.Itoa(i))
	}
	subscribe(t, nc, "damrey.msg.w9.>", "")
	list, more, err := b.Subscribers(messages, 2)
	if err != nil || more != 19 || len(list) != 2 || list[0].Subject != "damrey.msg.w9.>" {
		t.Errorf("%+v and %d more: %v", list, more, err)
	}
}

func TestBroker_TellsOfSubscribersWhileItRuns(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Config{})
	if _, _, err := b.Subscribers(messages, 1); !errors.Is(err, broker.ErrNotRunning) {
		t.Error(err)
	}
}
