package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/damrey/damrey"
)

// Workers lists the routing table.
func (c *Client) Workers(ctx context.Context) (WorkerList, error) {
	var list WorkerList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "workers"}, into: &list})
	return list, err
}

// Worker is one worker's registration and its revision.
func (c *Client) Worker(ctx context.Context, name string) (damrey.Registration, uint64, error) {
	var reg damrey.Registration
	revision, err := c.revised(ctx, call{method: http.MethodGet, path: workerPath(name), into: &reg})
	return reg, revision, err
}

// Add registers a worker that is not registered yet, and returns the new revision. 409 when it is.
func (c *Client) Add(ctx context.Context, reg damrey.Registration) (uint64, error) {
	return c.revised(ctx, call{method: http.MethodPost, path: []string{"worker", "add"}, body: reg})
}

// Change replaces the whole registration of a worker, whatever it was, and returns the new revision. 404 when there is
// none.
func (c *Client) Change(ctx context.Context, reg damrey.Registration) (uint64, error) {
	return c.revised(ctx, call{method: http.MethodPost, path: []string{"worker", "chg"}, body: reg})
}

// Put stores a registration, new or not, and returns the new revision. ifMatch, when it is not empty, is the If-Match
// header: see [Match]; 412 when the worker is at another revision.
func (c *Client) Put(ctx context.Context, reg damrey.Registration, ifMatch string) (uint64, error) {
	return c.revised(ctx, call{method: http.MethodPut, path: workerPath(reg.Name), body: reg, ifMatch: ifMatch})
}

// Delete removes a worker from the table. With a revision it does so only while the worker is at that revision, else 412.
func (c *Client) Delete(ctx context.Context, name string, revision *uint64) error {
	what := call{method: http.MethodDelete, path: workerPath(name)}
	if revision != nil {
		what.ifMatch = Match(*revision)
	}
	_, err := c.call(ctx, what)
	return err
}

// DeleteKeepingJobs is Delete of a worker for which messages are stored; they stay until it is registered again.
func (c *Client) DeleteKeepingJobs(ctx context.Context, name string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: workerPath(name), query: url.Values{"jobs": {"keep"}}})
	return err
}

// DeleteBuryingJobs is Delete of a worker whose stored messages become dead letters. It is to be called until none are left;
// then also for a worker that is gone already.
func (c *Client) DeleteBuryingJobs(ctx context.Context, name string) (moved, left uint64, err error) {
	var headers http.Header
	_, err = c.call(ctx, call{method: http.MethodDelete, path: workerPath(name), query: url.Values{"jobs": {"dead"}}, headers: &headers})
	if err != nil {
		return 0, 0, err
	}
	err = c.counts(headers, map[string]*uint64{"Damrey-Moved": &moved, "Damrey-Left": &left})
	return moved, left, err
}

// Stored looks how many messages and ids, and bytes, count towards a worker's limits at this moment.
func (c *Client) Stored(ctx context.Context, name string) (messages, bytes uint64, err error) {
	var headers http.Header
	_, err = c.call(ctx, call{method: http.MethodGet, path: workerPath(name), query: url.Values{"stored": {"true"}}, headers: &headers})
	if err != nil {
		return 0, 0, err
	}
	err = c.counts(headers, map[string]*uint64{"Damrey-Stored": &messages, "Damrey-Stored-Bytes": &bytes})
	return messages, bytes, err
}

// counts reads headers of an answer.
func (c *Client) counts(headers http.Header, into map[string]*uint64) (err error) {
	for name, to := range into {
		if *to, err = strconv.ParseUint(headers.Get(name), 10, 64); err != nil {
			return fmt.Errorf("%s answered with the header %s: %q, which is no count; is it a Damrey proxy of this version?",
				c.URL(), name, headers.Get(name))
		}
	}
	return nil
}

// Match is the entity tag of a revision, for an If-Match header.
func Match(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

func workerPath(name string) []string { return []string{"v1", "workers", name} }

func (c *Client) revised(ctx context.Context, what call) (uint64, error) {
	etag, err := c.call(ctx, what)
	if err != nil {
		return 0, err
	}
	revision, err := strconv.ParseUint(strings.Trim(etag, `"`), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s answered with the ETag %q, which is no revision; is it a Damrey proxy of this version?", c.URL(), etag)
	}
	return revision, nil
}
