package proxyd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/view"
)

type askEvents struct {
	LastEventID string   `header:"Last-Event-ID" doc:"Id of the last event that was read; those after it follow"`
	After       string   `query:"after" doc:"The same, for who cannot set a header"`
	Kind        []string `query:"kind" doc:"Only events of these kinds, with commas between, and gap; default all" example:"instance.lost,alarm.firing"`
	Last        int      `query:"last" minimum:"0" maximum:"2000" doc:"Begin with so many that happened before" example:"100"`
}

// events is GET /v1/events.
func (s *streams) events(_ context.Context, in *askEvents) (func(context.Context, *sse) error, error) {
	kinds, err := parseKinds(in.Kind)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, out *sse) error {
		r, err := s.begin(in, out)
		if err != nil {
			return err
		}
		r.only = kinds
		ticker := time.NewTicker(aliveEvery)
		defer ticker.Stop()
		for {
			more, err := r.send(out)
			if err != nil {
				return err
			}
			select {
			case <-more:
			case <-ticker.C:
				if err := out.alive(); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	}, nil
}

// parseKinds reads of what events somebody wants to hear.
func parseKinds(asked []string) (kinds []api.EventKind, err error) {
	for _, s := range asked {
		kind := api.EventKind(s)
		if !slices.Contains(api.EventKinds, kind) {
			message := "is no kind of event; there are " + strings.Join(api.EventKindNames(), ", ")
			return nil, at(problem(http.StatusUnprocessableEntity, "kind %q %s", shorten(s), message), "query.kind", message, shorten(s))
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// begin finds out where to go on; when that is not known, it says so.
func (s *streams) begin(in *askEvents, out *sse) (*eventReader, error) {
	journal := s.seen.view.Journal()
	id := in.LastEventID
	if id == "" {
		id = in.After
	}
	r := &eventReader{journal: journal, kind: func(e api.Event) string { return string(e.Kind) }}
	if id == "" {
		r.last = journal.Last() - min(journal.Last(), uint64(in.Last))
		return r, nil
	}
	n, known := journal.Resume(id)
	if known {
		r.last = n
		return r, nil
	}
	return r, r.gap(out, "the proxy was started anew, or another one answers; what happened between is not known here")
}

// eventReader sends the journal to one client.
type eventReader struct {
	journal *view.Journal
	last    uint64
	kind    func(api.Event) string
	only    []api.EventKind // with gap; all when it is empty
}

// send sends what there is, and returns what is closed when there is more.
func (r *eventReader) send(out *sse) (<-chan struct{}, error) {
	for {
		events, next, missed, more := r.journal.After(r.last, 100)
		if missed > 0 && r.last > 0 {
			r.last += missed
			if err := r.gap(out, fmt.Sprintf("%d events are forgotten, since they were not read in time", missed)); err != nil {
				return nil, err
			}
		}
		r.last = next
		for _, e := range events {
			if len(r.only) > 0 && e.Kind != api.EventGap && !slices.Contains(r.only, e.Kind) {
				continue
			}
			if err := r.one(out, e); err != nil {
				return nil, err
			}
		}
		if len(events) == 0 {
			return more, nil
		}
	}
}

func (r *eventReader) gap(out *sse, text string) error {
	return r.one(out, r.journal.Gap(time.Now(), r.last, text))
}

func (r *eventReader) one(out *sse, e api.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return out.event(e.ID, r.kind(e), data)
}

// live is GET /v1/live.
func (s *streams) live(context.Context, *struct{}) (func(context.Context, *sse) error, error) {
	return func(ctx context.Context, out *sse) error {
		journal := s.seen.view.Journal()
		r := &eventReader{journal: journal, last: journal.Last(), kind: func(api.Event) string { return "event" }}
		ticker := time.NewTicker(liveEvery)
		defer ticker.Stop()
		if err := s.sendNetwork(out); err != nil {
			return err
		}
		for {
			more, err := r.send(out)
			if err != nil {
				return err
			}
			select {
			case <-more:
			case <-ticker.C:
				if err := s.sendNetwork(out); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	}, nil
}

func (s *streams) sendNetwork(out *sse) error {
	data, err := s.networkJSON()
	if err != nil {
		return err
	}
	return out.event("", "network", data)
}

func (p *Proxy) routeStreams(a huma.API) {
	event := reflect.TypeFor[api.Event]()
	streamOperation(a, p.streams, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/v1/events", Tags: []string{"network"},
		Summary: "What happens, as server-sent events",
		Description: "The last 2,000 are remembered; Last-Event-ID resumes after one. Where some are missing, an event gap says so. " +
			"A comment every 15 seconds keeps the connection.",
	}, map[string]reflect.Type{"the event's kind": event}, p.streams.events)
	streamOperation(a, p.streams, huma.Operation{
		OperationID: "stream-live", Method: http.MethodGet, Path: "/v1/live", Tags: []string{"network"},
		Summary:     "The network every two seconds, and what happens, as server-sent events",
		Description: "An event network has the document of GET /v1/network, an event event one of GET /v1/events.",
	}, map[string]reflect.Type{"network": reflect.TypeFor[api.Network](), "event": event}, p.streams.live)
	p.routeTap(a)
}
