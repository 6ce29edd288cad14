package proxyd

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/difference"
)

type historyAnswer struct{ Body api.WorkerHistory }

type workerHistory struct {
	Name string `path:"name" doc:"Name of the worker"`
}

// workerHistory is GET /v1/workers/{name}/history.
func (p *Proxy) workerHistory(ctx context.Context, in *workerHistory) (*historyAnswer, error) {
	if err := checkName(in.Name); err != nil {
		return nil, err
	}
	records, err := p.table.history(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, problem(http.StatusNotFound, "worker %q was never registered; `damrey worker list` shows those that are", in.Name)
	}
	revisions, err := revisionsOf(records)
	if err != nil {
		return nil, err
	}
	return &historyAnswer{Body: api.WorkerHistory{Worker: in.Name, Revisions: revisions}}, nil
}

// revisionsOf turns the records of one entry into its revisions, the newest first.
func revisionsOf(records []record) ([]api.WorkerRevision, error) {
	list := make([]api.WorkerRevision, 0, len(records))
	var before *damrey.Registration
	known := len(records) < jetstream.KeyValueMaxHistory // what was before; else older ones are kept no more
	for _, r := range records {
		one := api.WorkerRevision{Revision: r.revision, At: r.created.UTC(), Deleted: r.deleted, Changes: []string{}}
		if !r.deleted {
			e := newEntry(r.key, r.value, r.revision, r.created)
			if e.damage == nil {
				one.Registration = &e.reg
			} else {
				one.Problem = e.damage.Error()
			}
		}
		if known && one.Problem == "" {
			words, err := difference.Between(before, one.Registration)
			if err != nil {
				return nil, err
			}
			one.Changes = append(one.Changes, words...)
		}
		before, known = one.Registration, one.Problem == ""
		list = append(list, one)
	}
	slices.Reverse(list)
	return list, nil
}

// history is all that is kept of one entry, the oldest first.
func (t *table) history(ctx context.Context, name string) (list []record, err error) {
	err = t.store.use(ctx, t.name, func(ctx context.Context, _ jetstream.KeyValue) error {
		stream, err := t.store.stream(ctx, t.name)
		if err != nil {
			return err
		}
		under := "$KV." + t.name + "."
		messages, err := allMessages(ctx, stream, under+name)
		if err != nil {
			return err
		}
		list = make([]record, 0, len(messages))
		for _, m := range messages {
			r, err := recordOf(m, under)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	})
	return list, err
}

func (p *Proxy) routeHistory(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "worker-history", Method: http.MethodGet, Path: "/v1/workers/{name}/history", Tags: []string{"workers"},
		Summary:     "What a registration was before",
		Description: "The last 64 revisions of a worker's entry with what each changed, also of a worker that was removed. To go back, PUT the registration of one.",
	}, look(p.workerHistory))
}
