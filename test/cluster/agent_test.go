//go:build unix

package cluster

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

// An agent that was told of one proxy alone learns of the others, and goes on at another broker when its own is gone.
func TestAgent_MovesToAnotherNode(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()
	first := s.nodes[0]
	s.put(first, damrey.Registration{Name: "entry", Commands: []damrey.Command{{Name: "echo", Worker: "echo"}}})
	s.put(first, damrey.Registration{Name: "echo"})

	// What the others have stored comes to a server a moment later, and the agent asks again after three seconds.
	eventually(t, "the first proxy knows of the others", func() bool {
		f, err := first.client().Fabric(t.Context())
		return err == nil && len(f.Proxies) == 3
	}, &first.out)
	port := freePort(t)
	agent := run(t, "agent", "agent", "-p", strconv.Itoa(port), "-a", "machine-1", "--proxy", local(first.rest), "--data", t.TempDir())
	agent.awaitReady()
	agent.awaitText("the link to the broker is up")
	echo := damrey.New(damrey.Config{Name: "echo"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()}))
	echo.Handle("*", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { return damrey.Reply(in.Arg(0)), nil })
	serve(t, echo)

	nc, err := nats.Connect("nats://"+local(port), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ask := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		m, err := nc.RequestWithContext(ctx, "damrey.out.entry.echo", []byte("hello"))
		return err == nil && string(m.Data) == `["RESPONSE","echo","hello"]`
	}
	eventually(t, "an answer through the agent", ask, &agent.out)

	first.kill()
	eventually(t, "an answer through another node", ask, &agent.out)
	eventually(t, "the name is renewed at another proxy", func() bool {
		list, err := s.nodes[1].client().Agents(t.Context())
		return err == nil && len(list.Agents) == 1 && time.Since(list.Agents[0].Renewed) < 5*time.Second
	}, &agent.out)
	agent.stop()
}
