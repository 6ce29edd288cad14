package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// silent is how long a stream may be quiet; the proxy says every 15 s that it is alive.
	silent = 40 * time.Second
	// retryStream is the pause before a stream is opened again.
	retryStream = time.Second
	// maxLine is the most that one event may have.
	maxLine = 64 << 20
)

// EventsFrom says where GET /v1/events begins.
type EventsFrom struct {
	After string // the id of the last event that was read
	Last  int    // without one: so many that happened before
}

// Events calls take with every event until ctx ends or take returns an error, which it returns. When the stream breaks it is
// resumed, at the next proxy if need be; where that is not possible without a gap, an event of kind gap says so.
func (c *Client) Events(ctx context.Context, from EventsFrom, take func(Event) error) error {
	return c.stream(ctx, []string{"v1", "events"}, func() url.Values {
		query := url.Values{}
		if from.After != "" {
			query.Set("after", from.After)
		} else if from.Last > 0 {
			query.Set("last", strconv.Itoa(from.Last))
		}
		return query
	}, func(_ string, data []byte) error {
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		from.After = e.ID
		return take(e)
	})
}

// Live calls network with the document of GET /v1/network every two seconds, and event with what happens; both as in Events.
func (c *Client) Live(ctx context.Context, network func(Network) error, event func(Event) error) error {
	return c.stream(ctx, []string{"v1", "live"}, func() url.Values { return nil }, func(kind string, data []byte) error {
		switch kind {
		case "network":
			return decode(data, network)
		case "event":
			return decode(data, event)
		}
		return nil // of a newer proxy
	})
}

// TapQuery says which messages GET /v1/tap copies; empty and 0 are any and the default.
type TapQuery struct {
	From, Type, To string
	Sample         float64
	Rate           int
	Args           bool
}

// Tap calls take with copies of messages as they are handled; as Events does, but what happens while the stream is broken is
// not seen.
func (c *Client) Tap(ctx context.Context, q TapQuery, take func(TapCopy) error) error {
	query := url.Values{}
	for name, value := range map[string]string{"from": q.From, "type": q.Type, "to": q.To} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if q.Sample != 0 {
		query.Set("sample", strconv.FormatFloat(q.Sample, 'g', -1, 64))
	}
	if q.Rate != 0 {
		query.Set("rate", strconv.Itoa(q.Rate))
	}
	if q.Args {
		query.Set("args", "true")
	}
	return c.stream(ctx, []string{"v1", "tap"}, func() url.Values { return query }, func(_ string, data []byte) error {
		return decode(data, take)
	})
}

func decode[T any](data []byte, take func(T) error) error {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	return take(v)
}

// stream reads server-sent events, again and again once it could be opened. A failure before that is returned.
func (c *Client) stream(ctx context.Context, path []string, query func() url.Values, take func(kind string, data []byte) error) error {
	for opened := false; ; {
		base := c.proxies.now()
		began, taken, err := c.streamOne(ctx, base, call{method: http.MethodGet, path: path, query: query()}, take)
		opened = opened || began
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case taken != nil:
			return taken
		case !opened && (c.proxies.len() == 1 || !call{repeatable: true}.elsewhere(err)):
			return err
		}
		if !began {
			c.proxies.leave(base)
		}
		select {
		case <-time.After(retryStream):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// streamOne reads one answer to its end. began says that there was one; taken is what take returned.
func (c *Client) streamOne(ctx context.Context, base *url.URL, what call, take func(string, []byte) error) (began bool, taken, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(timeout, func() { cancel(fmt.Errorf("nothing came for so long")) })
	defer quiet.Stop()
	req, err := what.request(ctx, base)
	if err != nil {
		return false, nil, err
	}
	unbounded := http.Client{Transport: c.http.Transport}
	resp, err := unbounded.Do(req)
	if err != nil {
		return false, nil, unreachable(ctx, base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, nil, refused(base, resp)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, maxLine)
	for kind := ""; in.Scan(); {
		quiet.Reset(silent)
		field, value, _ := strings.Cut(in.Text(), ": ")
		switch field {
		case "event":
			kind = value
		case "data":
			if err := take(kind, []byte(value)); err != nil {
				return true, err, nil
			}
			kind = ""
		}
	}
	return true, nil, in.Err()
}
