package broker_test

import (
	"errors"
	"testing"

	"github.com/damrey/damrey/broker"
)

func TestLeaf_SetRemotesKeepsLocalClients(t *testing.T) {
	t.Parallel()
	first, second := newBroker(t, broker.Config{Name: "one"}), startBroker(t, broker.Config{Name: "two"})
	stop := start(t, first)
	leaf := startLeaf(t, "leaf", first.LeafURL())
	client := connect(t, leaf)
	far := connect(t, second)
	stop()
	eventually(t, "the link is down", func() bool { return !leaf.Uplink() })

	if err := leaf.SetRemotes([]string{"http://x"}); !errors.Is(err, broker.ErrConfig) {
		t.Errorf("a URL that is none: %v", err)
	}
	before := leaf.ClientURL()
	if err := leaf.SetRemotes([]string{first.LeafURL(), second.LeafURL()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link to the other broker is up", leaf.Uplink)
	reach(t, client, far)
	if client.Reconnects != 0 || leaf.ClientURL() != before {
		t.Errorf("the local client has reconnected %d times; %s became %s", client.Reconnects, before, leaf.ClientURL())
	}
}
