package damrey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go/jetstream"
)

// heldLook is how often it is looked whether messages are still held back.
const heldLook = 20 * time.Millisecond

var errHeldBack = errors.New("messages that were stored while the route was paused are still being moved; the proxy does so, if one is running")

// heldBack keeps the order by key over a pause. What is sent while a route is
// paused is stored aside, and the proxy moves it on afterwards. What is sent then
// waits here until nothing is left aside, or it would overtake.
type heldBack struct {
	mu      sync.Mutex // guards what follows, and what is in routes
	routes  map[string]*heldRoute
	memory  int           // of what waits in them
	working int           // routes that are worked off
	none    chan struct{} // not nil while someone waits for none to be
	closed  bool
}

type heldRoute struct {
	asking   sync.Mutex // one asks the broker at a time; taken before mu
	clear    bool       // nothing is aside
	clearAt  uint64     // the revision of the row by which that is known
	underWay int        // messages on their way aside
	waiting  fifo[heldMessage]
	memory   int  // of them
	working  bool // a goroutine works them off
}

func (h *heldBack) with(route string, do func(*heldRoute)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do(h.of(route))
}

// of is called with mu held.
func (h *heldBack) of(route string) *heldRoute {
	s := h.routes[route]
	if s == nil {
		if h.routes == nil {
			h.routes = make(map[string]*heldRoute)
		}
		s = new(heldRoute)
		h.routes[route] = s
	}
	return s
}

func (h *heldBack) isClear(r *Route) (clear bool) {
	h.with(r.String(), func(s *heldRoute) { clear = s.isClear(r) })
	return clear
}

// isClear says that nothing is aside. Between two revisions of the row the route
// may have been paused, and others may have stored messages aside.
func (s *heldRoute) isClear(r *Route) bool { return s.clear && s.clearAt == r.revision }

// pass waits until a message of a route with a key may be stored. What it returns
// is to be called when the message is stored, or is not.
func (l *link) pass(ctx context.Context, r *Route, deadline moment) (over func(), err error) {
	h, route := &l.held, r.String()
	if r.Paused {
		h.with(route, func(s *heldRoute) { s.clear = false; s.underWay++ })
		return func() { h.with(route, func(s *heldRoute) { s.underWay-- }) }, nil
	}
	for !h.isClear(r) && !l.becomesClear(ctx, r, deadline) {
		if ctx.Err() != nil || clock() >= deadline {
			return nil, &fabricError{ErrNotStored, errors.Join(context.Cause(ctx), errHeldBack).Error(), route}
		}
		pause(ctx, heldLook)
	}
	return func() {}, nil
}

// storeInTurn stores a message with a key when its route lets it pass, for which
// it waits.
func (l *link) storeInTurn(ctx context.Context, r *Route, s storing) error {
	over, err := l.pass(ctx, r, s.deadline)
	if err != nil {
		return err
	}
	ended := s.done
	s.done = func(err error) { over(); ended(err) }
	if err := l.store(ctx, s); err != nil {
		over()
		return err
	}
	return nil
}

// becomesClear asks the broker whether anything of the route is aside.
func (l *link) becomesClear(ctx context.Context, r *Route, deadline moment) (clear bool) {
	h, route := &l.held, r.String()
	var held *heldRoute
	h.with(route, func(s *heldRoute) { held = s })
	held.asking.Lock()
	defer held.asking.Unlock()
	if h.isClear(r) {
		return true // somebody has asked meanwhile
	}
	arriving := false
	h.with(route, func(s *heldRoute) { arriving = s.underWay > 0 })
	if arriving || !l.nothingAside(ctx, r, deadline) {
		return false
	}
	h.with(route, func(s *heldRoute) {
		clear = s.underWay == 0
		s.clear, s.clearAt = clear, r.revision
	})
	return clear
}

func (l *link) nothingAside(ctx context.Context, r *Route, deadline moment) bool {
	ctx, cancel := context.WithTimeout(ctx, min(askTime, deadline.left()))
	defer cancel()
	request := fmt.Appendf(nil, `{"subjects_filter":"%s.held.%s.%s.%s.>"}`, l.prefix, r.To, r.Type, r.From)
	var info struct {
		State struct {
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	err := askJetStream(ctx, l.nc, "STREAM.INFO."+bucket.JobsStream(l.prefix, r.To), request, &info)
	if err != nil {
		return errors.Is(err, jetstream.ErrStreamNotFound)
	}
	return len(info.State.Subjects) == 0
}
