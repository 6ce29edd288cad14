package api

import (
	"context"
	"net/http"
	"time"

	"github.com/damrey/damrey"
)

// WorkerHistory is GET /v1/workers/{name}/history.
type WorkerHistory struct {
	Worker string `json:"worker" doc:"Name of the worker"`
	// Revisions, the newest first. The bucket keeps the last 64 of each worker.
	Revisions []WorkerRevision `json:"revisions" nullable:"false" doc:"What the entry was, the newest first; the last 64 are kept"`
}

// WorkerRevision is what a worker's entry was from one change to the next.
type WorkerRevision struct {
	Revision uint64    `json:"revision" doc:"Revision of the entry in the bucket"`
	At       time.Time `json:"at" doc:"When the broker stored it"`
	// Deleted: there was no entry from then on.
	Deleted bool     `json:"deleted,omitempty" doc:"The worker was removed from the table"`
	Changes []string `json:"changes" nullable:"false" doc:"What differs from the revision before, in words; empty: nothing, or it is not known"`
	// Registration is nil when it was deleted, or cannot be read.
	Registration *damrey.Registration `json:"registration,omitempty" doc:"The entry as it was; PUT it to undo what came after"`
	Problem      string               `json:"problem,omitempty" doc:"Why the entry cannot be read"`
}

// History is what a worker's entry was before, also of one that was deleted. 404 when nothing is known of it.
func (c *Client) History(ctx context.Context, name string) (WorkerHistory, error) {
	var history WorkerHistory
	_, err := c.call(ctx, call{method: http.MethodGet, path: append(workerPath(name), "history"), into: &history})
	return history, err
}
