package proxyd

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/segmentio/encoding/json" // writes thousands of routes in half the time

	"github.com/damrey/damrey/internal/api"
)

const (
	// maxStreams is how many streams of events are served at once.
	maxStreams = 256
	// writeTime is how long one write to a client may take. One that does not read is given up then.
	writeTime = 10 * time.Second
	// endTime is how long it may take when the proxy ends.
	endTime = time.Second
	// aliveEvery is how often a quiet stream says that it is alive.
	aliveEvery = 15 * time.Second
	// networkEvery is how often the network is made anew while somebody asks for it.
	networkEvery = 2 * time.Second
	// liveEvery is how often the network is sent.
	liveEvery = 2 * time.Second
)

// streams are the answers that go on until their client leaves.
type streams struct {
	seen    *observer
	closing chan struct{}
	close   func()
	open    atomic.Int64

	mu     sync.Mutex // guards what follows
	at     time.Duration
	tables uint64            // of the view then
	doc    api.Network       // as it was then; nobody changes it
	data   []byte            // its JSON; nil before somebody needed it
	list   *api.InstanceList // of then; nil before somebody needed it, and nobody changes it
}

func newStreams(o *observer) *streams {
	s := &streams{seen: o, closing: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.closing) })
	return s
}

// documents are what instances report, both as it was when the network was made.
func (s *streams) documents(context.Context) (api.Network, api.InstanceList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc := s.networkNow()
	if s.list == nil {
		list := s.seen.view.Instances(s.seen.clock.Now())
		s.list = &list
	}
	return doc, *s.list, nil
}

// networkNow is made once for all who ask within two seconds, unless the table has changed. mu is held.
func (s *streams) networkNow() api.Network {
	now, tables := s.seen.clock.Now(), s.seen.tables.Load()
	if s.doc.At.IsZero() || now.Run-s.at >= networkEvery || tables != s.tables {
		s.doc, s.data, s.list, s.at, s.tables = s.seen.view.Network(now), nil, nil, now.Run, tables
	}
	return s.doc
}

// networkJSON is the same for who sends it.
func (s *streams) networkJSON() (data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if doc := s.networkNow(); s.data == nil {
		s.data, err = json.Marshal(doc)
	}
	return s.data, err
}

// sse writes server-sent events to one client.
type sse struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
	buf bytes.Buffer

	mu    sync.Mutex // guards ended, and that no deadline is set after it
	ended bool
}

// event sends one; id and kind may be empty. data must be one line.
func (s *sse) event(id, kind string, data []byte) error {
	s.buf.Reset()
	if id != "" {
		fmt.Fprintf(&s.buf, "id: %s\n", id)
	}
	if kind != "" {
		fmt.Fprintf(&s.buf, "event: %s\n", kind)
	}
	s.buf.WriteString("data: ")
	s.buf.Write(data) // may be large
	s.buf.WriteString("\n\n")
	return s.flush()
}

// alive sends a comment.
func (s *sse) alive() error {
	s.buf.Reset()
	s.buf.WriteString(":\n\n")
	return s.flush()
}

func (s *sse) flush() error {
	if s.deadline(writeTime, false) {
		return http.ErrServerClosed
	}
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// deadline sets until when what is written must have left, and says whether the stream has ended. The last one ends it.
func (s *sse) deadline(in time.Duration, last bool) (ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return true
	}
	s.ended = last
	_ = s.ctl.SetWriteDeadline(time.Now().Add(in)) // the server's own connections can
	return false
}

// streamOperation registers an operation that answers with events. open refuses with a problem, or returns what sends until
// the client has left, the proxy ends, or it has nothing more to say.
func streamOperation[I any](a huma.API, all *streams, op huma.Operation, data map[string]reflect.Type,
	open func(context.Context, *I) (func(context.Context, *sse) error, error),
) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Server-sent events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: eventSchema(a, data)}},
	}}
	huma.Register(a, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		if all.open.Add(1) > maxStreams {
			all.open.Add(-1)
			return nil, problem(http.StatusServiceUnavailable, "%d streams of events are open, as many as are served; close some", maxStreams)
		}
		send, err := open(ctx, in)
		if err != nil {
			all.open.Add(-1)
			return nil, problemOf(err, untold)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer all.open.Add(-1)
			all.serve(hc, send)
		}}, nil
	})
}

func (s *streams) serve(hc huma.Context, send func(context.Context, *sse) error) {
	r, w := humago.Unwrap(hc)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &sse{w: w, ctl: http.NewResponseController(w)}
	go func() {
		select {
		case <-s.closing:
			out.deadline(endTime, true)
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = out.ctl.SetReadDeadline(time.Time{}) // else the request's own would end it
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	if err := out.alive(); err != nil {
		return
	}
	if err := send(ctx, out); err != nil && ctx.Err() == nil {
		s.seen.store.log.Debug().Err(err).Str("by", r.RemoteAddr).Msg("a client of events was given up")
	}
}

// eventSchema describes the kinds of events with what is in their data.
func eventSchema(a huma.API, data map[string]reflect.Type) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{}, Description: "Events; each data is one line of JSON."}
	for kind, t := range data {
		s.Items.OneOf = append(s.Items.OneOf, &huma.Schema{
			Type: huma.TypeObject, Title: kind, Required: []string{"data"},
			Properties: map[string]*huma.Schema{
				"id":    {Type: huma.TypeString, Description: "Sent back as Last-Event-ID it resumes after this one"},
				"event": {Type: huma.TypeString, Description: kind},
				"data":  a.OpenAPI().Components.Schemas.Schema(t, true, kind),
			},
		})
	}
	return s
}
