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

const (
	// silent is how long the events may be quiet; the proxy says every 15 s that it is alive.
	silent = 40 * time.Second
	// firstAgain and lastAgain are the pauses before events that broke off are asked for again.
	firstAgain = 250 * time.Millisecond
	lastAgain  = 5 * time.Second
	// maxEvent is the most that one event may have.
	maxEvent = 1 << 20
	// AllPast is how many events a proxy remembers at most.
	AllPast = 2000
)

// EventsFrom says where GET /v1/events begins. The zero value is now.
type EventsFrom struct {
	After string      // the id of the last event that was read
	Last  int         // without one: so many that happened before
	Broke func(error) // hears why the events broke off, each time before they are asked for again; nil: nobody does
	Again func()      // hears that they go on after that; nil: nobody does
}

// Events calls take with every event until ctx ends or take returns an error, which it returns. When the events break off
// they are resumed, at the next proxy if need be; where that is not possible without a gap, an event of kind gap says so. A
// refusal ends it, and so does it when no proxy can be reached in the beginning.
func (c *Client) Events(ctx context.Context, from EventsFrom, take func(Event) error) error {
	f := follower{c: c, from: from, take: take}
	for {
		err := f.round(ctx)
		refused, ok := errors.AsType[*Error](err)
		switch {
		case f.taken != nil:
			return f.taken
		case ctx.Err() != nil:
			return ctx.Err()
		case f.opened.IsZero(), ok && refused.Status < http.StatusInternalServerError:
			return err
		}
		if from.Broke != nil {
			from.Broke(err)
		}
		select {
		case <-time.After(f.nextPause()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follower reads events over all breaks.
type follower struct {
	c      *Client
	from   EventsFrom
	take   func(Event) error
	taken  error         // what take ended it with
	opened time.Time     // for the first time, by the proxy's clock
	pause  time.Duration // the last one; 0 since an event came
	past   bool          // what happened before opened came too
}

func (f *follower) nextPause() time.Duration {
	f.pause = min(max(firstAgain, 2*f.pause), lastAgain)
	return f.pause
}

// round goes round the proxies until one has events, and reads them to their end.
func (f *follower) round(ctx context.Context) error {
	for left := f.c.proxies.len(); ; left-- {
		base := f.c.proxies.now()
		began, err := f.read(ctx, base)
		if began || left == 1 || ctx.Err() != nil || !(call{repeatable: true}).elsewhere(err) {
			return err
		}
		f.c.proxies.leave(base)
	}
}

// request asks for what has not been read. What happened while the events were away is asked for also when none had come.
func (f *follower) request(ctx context.Context, base *url.URL) (*http.Request, error) {
	what := call{method: http.MethodGet, path: []string{"v1", "events"}}
	last := f.from.Last
	if f.from.After == "" && last == 0 && !f.opened.IsZero() {
		last, f.past = AllPast, true
	}
	if f.from.After == "" && last > 0 {
		what.query = url.Values{"last": {strconv.Itoa(last)}}
	}
	req, err := what.request(ctx, base)
	if err == nil && f.from.After != "" {
		req.Header.Set("Last-Event-ID", f.from.After)
	}
	return req, err
}

// read reads one answer to its end. began says that there was one.
func (f *follower) read(ctx context.Context, base *url.URL) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alive := time.AfterFunc(timeout, cancel)
	defer alive.Stop()
	req, err := f.request(ctx, base)
	if err != nil {
		return false, err
	}
	endless := http.Client{Transport: f.c.http.Transport}
	resp, err := endless.Do(req)
	if err != nil {
		return false, unreachable(ctx, base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, refused(base, resp)
	}
	if f.opened.IsZero() {
		f.opened = proxyTime(resp)
	} else if f.from.Again != nil {
		f.from.Again()
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for f.taken == nil && lines.Scan() {
		alive.Reset(silent)
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			f.one([]byte(data))
		}
	}
	return true, fmt.Errorf("the events broke off at %s: %w", base.Redacted(), cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

func proxyTime(resp *http.Response) time.Time {
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return at
	}
	return time.Now()
}

// one takes an event, unless it happened before those that were asked for.
func (f *follower) one(data []byte) {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		f.taken = fmt.Errorf("an event that cannot be read: %w; is it a Damrey proxy of this version?", err)
		return
	}
	f.from.After, f.pause = e.ID, 0
	if f.past && e.At.Before(f.opened) {
		return
	}
	f.taken = f.take(e)
}
