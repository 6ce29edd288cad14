package proxyd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

const (
	// tapQueue is how many copies wait for a client; what comes beyond is left out and counted.
	tapQueue = 256
	tapRate  = 50
)

type askTap struct {
	From   string  `query:"from" doc:"Only what this worker sent; default any" example:"entry"`
	Type   string  `query:"type" doc:"Only of this type; default any" example:"add"`
	To     string  `query:"to" doc:"Only what this worker handled; default any" example:"add"`
	Sample float64 `query:"sample" minimum:"0" maximum:"1" doc:"Share of the messages that is copied; default all" example:"0.01"`
	Rate   int     `query:"rate" minimum:"0" maximum:"1000" doc:"Copies in a second at most; default 50" example:"50"`
	Args   bool    `query:"args" doc:"Whether the arguments are wanted"`
}

// tap is GET /v1/tap.
func (s *streams) tap(_ context.Context, in *askTap) (func(context.Context, *sse) error, error) {
	lease := report.Lease{ID: nuid.Next(), Sample: in.Sample, Rate: in.Rate, Args: in.Args, Inbox: s.seen.store.nc.NewInbox()}
	for _, part := range []struct {
		field, name string
		into        *string
	}{{"from", in.From, &lease.From}, {"type", in.Type, &lease.Type}, {"to", in.To, &lease.To}} {
		if part.name == "" || part.name == "*" {
			continue
		}
		if err := damrey.CheckName(part.name); err != nil {
			return nil, at(problem(http.StatusUnprocessableEntity, "%s %v", part.field, err), "query."+part.field, err.Error(), shorten(part.name))
		}
		*part.into = part.name
	}
	if lease.Rate == 0 {
		lease.Rate = tapRate
	}
	if !s.seen.store.nc.IsConnected() {
		return nil, problem(http.StatusServiceUnavailable, "%v: no connection to NATS; instances cannot be asked for copies", errAway)
	}
	return func(ctx context.Context, out *sse) error { return s.relay(ctx, out, lease) }, nil
}

// tapped is one client's copies on their way.
type tapped struct {
	queue   chan report.Copy
	skipped atomic.Uint64 // that were left out here and are not told yet
}

func (t *tapped) take(m *nats.Msg) {
	var c report.Copy
	if len(m.Data) > report.MaxSize || json.Unmarshal(m.Data, &c) != nil {
		t.skipped.Add(1)
		return
	}
	select {
	case t.queue <- c:
	default:
		t.skipped.Add(1 + c.Skipped)
	}
}

// relay holds the lease and sends what comes for it, until the client leaves.
func (s *streams) relay(ctx context.Context, out *sse, lease report.Lease) error {
	nc := s.seen.store.nc
	t := &tapped{queue: make(chan report.Copy, tapQueue)}
	sub, err := nc.Subscribe(lease.Inbox, t.take)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	ask, err := json.Marshal(lease)
	if err != nil {
		return err
	}
	// The instances' own rate is of each of them; this is of all together.
	second, room := time.NewTicker(time.Second), lease.Rate
	defer second.Stop()
	again := time.NewTicker(report.LeaseAgain)
	defer again.Stop()
	if err := nc.Publish(report.TapSubject(s.seen.store.prefix), ask); err != nil {
		return fmt.Errorf("instances cannot be asked for copies: %w", err)
	}
	for {
		select {
		case c := <-t.queue:
			if room == 0 {
				t.skipped.Add(1 + c.Skipped)
				continue
			}
			room--
			c.Skipped += t.skipped.Swap(0)
			data, err := json.Marshal(c)
			if err == nil {
				err = out.event("", "copy", data)
			}
			if err != nil {
				return err
			}
		case <-second.C:
			room = lease.Rate
		case <-again.C:
			// While the broker is away nobody hears it; the next one will do.
			_ = nc.Publish(report.TapSubject(s.seen.store.prefix), ask)
			if err := out.alive(); err != nil { // also finds out that the client has left
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Proxy) routeTap(a huma.API) {
	streamOperation(a, p.streams, huma.Operation{
		OperationID: "stream-tap", Method: http.MethodGet, Path: "/v1/tap", Tags: []string{"network"},
		Summary: "Copies of messages as they are handled, as server-sent events",
		Description: "Instances are asked for copies as long as the answer is read; messages themselves go their way. " +
			"What goes to a program without the library is not seen, whoever sent it. " +
			"What a rate or a slow reader left out is counted in skipped.",
	}, map[string]reflect.Type{"copy": reflect.TypeFor[api.TapCopy]()}, p.streams.tap)
}
