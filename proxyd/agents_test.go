package proxyd_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

func status(err error) int {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Status
	}
	return 0
}

const agent = "10.1.2.3:4222"

func TestProxy_LeasesANameToOneAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Lease: time.Hour})
	client, ctx := r.client(), t.Context()
	first := api.Claim{ID: "first", Host: "machine-1", PID: 11}

	lease, err := client.ClaimAgent(ctx, agent, first)
	if err != nil || lease.Seconds != 3600 || lease.Since.IsZero() {
		t.Fatalf("%+v, %v", lease, err)
	}
	renewed, err := client.ClaimAgent(ctx, agent, first)
	if err != nil || !renewed.Since.Equal(lease.Since) {
		t.Errorf("renewed: %+v, %v", renewed, err)
	}
	restarted, err := client.ClaimAgent(ctx, agent, api.Claim{ID: "first", Host: "machine-1", PID: 12})
	if err != nil || restarted.PID != 12 {
		t.Errorf("restarted: %+v, %v", restarted, err)
	}
	_, err = client.ClaimAgent(ctx, agent, api.Claim{ID: "second", Host: "machine-2", PID: 22})
	if status(err) != 409 {
		t.Fatalf("a second agent: %v", err)
	}
	for _, text := range []string{"machine-1", "process 12", restarted.Since.Format(time.RFC3339), agent} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("does not name %s: %v", text, err)
		}
	}
	if strings.Contains(err.Error(), "first") {
		t.Errorf("gives the id away: %v", err)
	}
	list, err := client.Agents(ctx)
	if err != nil || len(list.Agents) != 1 || list.Agents[0].Name != agent || list.Agents[0].PID != 12 || !list.Agents[0].Held {
		t.Errorf("%+v, %v", list, err)
	}
	if err := client.ReleaseAgent(ctx, agent, "second"); status(err) != 409 {
		t.Errorf("released by another: %v", err)
	}
	for range 2 {
		if err := client.ReleaseAgent(ctx, agent, "first"); err != nil {
			t.Error(err)
		}
	}
	if _, err := client.ClaimAgent(ctx, agent, api.Claim{ID: "second", Host: "machine-2", PID: 22}); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestProxy_LeaseOfASilentAgentEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Lease: 300 * time.Millisecond})
	client, ctx := r.client(), t.Context()
	if _, err := client.ClaimAgent(ctx, agent, api.Claim{ID: "first", Host: "machine-1", PID: 11}); err != nil {
		t.Fatal(err)
	}
	second := api.Claim{ID: "second", Host: "machine-2", PID: 22}
	eventually(t, "the name is free", func() bool {
		_, err := client.ClaimAgent(ctx, agent, second)
		if err != nil && status(err) != 409 {
			t.Fatal(err)
		}
		return err == nil
	})
	eventually(t, "the list says that nobody holds it", func() bool {
		list, err := client.Agents(ctx)
		if err != nil || len(list.Agents) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return !list.Agents[0].Held
	})
}

func TestProxy_OneOfManyClaimsWins(t *testing.T) {
	t.Parallel()
	a := newRig(t, proxyd.Config{Lease: time.Hour})
	b := startProxy(t, a.srv, proxyd.Config{Lease: time.Hour})
	await(t, b.proxy.Ready())
	clients := []*api.Client{a.client(), b.client()}
	won := make(chan int, 8)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			_, err := clients[n%2].ClaimAgent(t.Context(), agent, api.Claim{ID: string(rune('a' + n)), Host: "h", PID: n})
			switch {
			case err == nil:
				won <- n
			case status(err) != 409:
				t.Errorf("claim %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d of 8 claims won", len(won))
	}
}

func TestProxy_ReplacesAClaimThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Lease: time.Hour})
	client, ctx := r.client(), t.Context()
	if _, err := r.bucket("damrey_agents").PutString(ctx, "YToxMQ", "{"); err != nil { // a:11 in base64
		t.Fatal(err)
	}
	list, err := client.Agents(ctx)
	if err != nil || len(list.Damaged) != 1 || list.Damaged[0].Name != "a:11" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := client.ClaimAgent(ctx, "a:11", api.Claim{ID: "first", Host: "h", PID: 1}); err != nil {
		t.Error(err)
	}
}
