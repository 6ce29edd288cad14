package api

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// quiet is how long a stream of events may say nothing, not even that it is alive, until it is given up.
const quiet = 45 * time.Second

// ErrBroke means that a stream of events that had begun ended.
var ErrBroke = errors.New("the events broke off")

// maxEvent is the longest line of a stream of events that is read.
const maxEvent = 1 << 20

// SeeNetwork is the fabric as the proxy saw it in the last seconds. 404 from a proxy that keeps no view.
func (c *Client) SeeNetwork(ctx context.Context) (Network, error) {
	var n Network
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "network"}, into: &n})
	return n, err
}

// SeeInstances lists the running processes of workers, and those that ran. 404 from a proxy that keeps no view.
func (c *Client) SeeInstances(ctx context.Context) (InstanceList, error) {
	var list InstanceList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "instances"}, into: &list})
	return list, err
}

// EventsPlace says where to begin: after the event with an id or, when that is empty, with as many as happened before.
type EventsPlace struct {
	ID   string
	Past int
	// Opened, if any, is called when the stream is there, before its first event.
	Opened func()
}

// FollowEvents calls take with event after event until ctx ends, take says false, or the stream breaks off, which is
// [ErrBroke]. It goes round the proxies until one can be reached.
func (c *Client) FollowEvents(ctx context.Context, from EventsPlace, take func(Event) bool) error {
	for left := c.proxies.len(); ; left-- {
		base := c.proxies.now()
		err := c.followOne(ctx, base, from, take)
		if err == nil {
			return nil
		}
		_, isRefused := errors.AsType[*Error](err)
		if !isRefused {
			c.proxies.leave(base)
		}
		if isRefused || errors.Is(err, ErrBroke) || left == 1 || ctx.Err() != nil {
			return err
		}
	}
}

func (c *Client) followOne(ctx context.Context, base *url.URL, from EventsPlace, take func(Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alive := time.AfterFunc(timeout, cancel)
	defer alive.Stop()
	resp, err := c.openEvents(ctx, base, from)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if from.Opened != nil {
		from.Opened()
	}
	s := eventStream{lines: bufio.NewScanner(resp.Body)}
	s.lines.Buffer(nil, maxEvent)
	s.heard = func() { alive.Reset(quiet) }
	s.heard()
	for {
		e, err := s.next()
		if err != nil {
			return fmt.Errorf("%w at %s: %w", ErrBroke, base.Redacted(), err)
		}
		if !take(e) {
			return nil
		}
	}
}

func (c *Client) openEvents(ctx context.Context, base *url.URL, from EventsPlace) (*http.Response, error) {
	what := call{method: http.MethodGet, path: []string{"v1", "events"}}
	if from.ID == "" && from.Past > 0 {
		what.query = url.Values{"last": {strconv.Itoa(from.Past)}}
	}
	req, err := what.request(ctx, base)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if from.ID != "" {
		req.Header.Set("Last-Event-ID", from.ID)
	}
	endless := http.Client{Transport: c.http.Transport}
	resp, err := endless.Do(req)
	if err != nil {
		return nil, unreachable(ctx, base, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refused(base, resp)
	}
	return resp, nil
}

// eventStream reads server-sent events.
type eventStream struct {
	lines *bufio.Scanner
	heard func()
}

// next passes over comments, and over fields that it does not know.
func (s *eventStream) next() (Event, error) {
	var data, id string
	for s.lines.Scan() {
		s.heard()
		field, value, _ := strings.Cut(s.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "data":
			data += value
		case field == "id":
			id = value
		case s.lines.Text() == "" && data != "":
			e := Event{ID: id}
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				return e, fmt.Errorf("an event that cannot be read: %w", err)
			}
			return e, nil
		}
	}
	return Event{}, cmp.Or(s.lines.Err(), io.ErrUnexpectedEOF)
}
