package proxyd

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

// registrationAnswer is a registration with its revision.
type registrationAnswer struct {
	Status int
	ETag   string `header:"ETag" doc:"Revision of the entry, in quotes" example:"\"7\""`
	Moved  string `header:"Damrey-Moved" doc:"With jobs=dead: how many stored messages went to the dead letters"`
	Left   string `header:"Damrey-Left" doc:"With jobs=dead: how many are still stored; ask again until it is 0"`
	Stored string `header:"Damrey-Stored" doc:"With stored=true: how many messages and ids are stored for the worker at this moment"`
	Bytes  string `header:"Damrey-Stored-Bytes" doc:"With stored=true: how many bytes they take"`
	Body   damrey.Registration
}

func newAnswer(status int, e *entry) *registrationAnswer {
	return &registrationAnswer{Status: status, ETag: api.Match(e.revision), Body: e.reg}
}

type getWorker struct {
	Name        string `path:"name" doc:"Name of the worker"`
	IfNoneMatch string `header:"If-None-Match" doc:"304 while the worker is at this revision"`
	Stored      bool   `query:"stored" doc:"Look also how much counts towards max_messages and max_bytes at this moment"`
}

type putWorker struct {
	Name        string `path:"name" doc:"Name of the worker"`
	IfMatch     string `header:"If-Match" doc:"Replace only while the worker is at this revision; * is any"`
	IfNoneMatch string `header:"If-None-Match" doc:"* registers only; 412 when the worker is registered already"`
	RawBody     []byte `contentType:"application/json"`
}

type deleteWorker struct {
	Name    string `path:"name" doc:"Name of the worker"`
	IfMatch string `header:"If-Match" doc:"Delete only while the worker is at this revision; * is any"`
	Jobs    string `query:"jobs" doc:"What becomes of messages that are stored for the worker: keep leaves them until it is registered again; dead moves them to the dead letters, and asked again tells how far it is. Without it, 409 while there are any"`
}

type workersAnswer struct{ Body api.WorkerList }

// listWorkers is GET /v1/workers.
func (p *Proxy) listWorkers(ctx context.Context, _ *struct{}) (*workersAnswer, error) {
	entries, err := p.table.list(ctx)
	if err != nil {
		return nil, err
	}
	list := api.WorkerList{Workers: make([]api.Worker, 0, len(entries))}
	for _, e := range entries {
		if e.damage == nil {
			list.Workers = append(list.Workers, api.Worker{Registration: e.reg, Revision: e.revision, Updated: e.updated})
			continue
		}
		p.logDamage(e)
		list.Damaged = append(list.Damaged, api.Damaged{Name: e.reg.Name, Problem: e.damage.Error()})
	}
	return &workersAnswer{Body: list}, nil
}

func (p *Proxy) logDamage(e *entry) {
	p.cfg.Log.Error().Err(e.damage).Str("worker", e.reg.Name).Uint64("revision", e.revision).
		Msg("the entry cannot be read; put it again or delete it")
}

// getWorker is GET /v1/workers/{name}.
func (p *Proxy) getWorker(ctx context.Context, in *getWorker) (*registrationAnswer, error) {
	if err := checkName(in.Name); err != nil {
		return nil, err
	}
	cond, err := parsePrecondition("", in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	e, err := p.table.get(ctx, in.Name)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, problem(http.StatusNotFound, "%s", notRegistered(in.Name))
	case e.damage != nil:
		p.logDamage(e)
		return nil, damaged(http.StatusInternalServerError, e)
	case cond.none.hold(e):
		return newAnswer(http.StatusNotModified, e), nil
	}
	found := newAnswer(http.StatusOK, e)
	if in.Stored {
		found.Stored, found.Bytes, err = p.storedFor(ctx, in.Name)
	}
	return found, err
}

// storedFor looks what counts towards the limits of a worker; nothing does where there is no stream.
func (p *Proxy) storedFor(ctx context.Context, worker string) (messages, bytes string, err error) {
	if damrey.CheckWorkerName(worker) != nil {
		return "0", "0", nil // nothing can be stored for what is no worker's name
	}
	ctx, cancel, err := p.store.bound(ctx)
	if err != nil {
		return "", "", err
	}
	defer cancel()
	var state jetstream.StreamState
	stream, err := p.store.js.Stream(ctx, bucket.JobsStream(p.cfg.Prefix, worker))
	if err == nil {
		state = stream.CachedInfo().State
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return "", "", away(err)
	}
	return strconv.FormatUint(state.Msgs, 10), strconv.FormatUint(state.Bytes, 10), nil
}

// putWorker is PUT /v1/workers/{name}.
func (p *Proxy) putWorker(ctx context.Context, in *putWorker) (*registrationAnswer, error) {
	if err := checkName(in.Name); err != nil {
		return nil, err
	}
	cond, err := parsePrecondition(in.IfMatch, in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	reg, err := p.readDocument(ctx, in.RawBody, in.Name)
	if err != nil {
		return nil, err
	}
	return p.put(ctx, reg, func(current *entry) error { return cond.check(in.Name, current) })
}

// deleteWorker is DELETE /v1/workers/{name}.
func (p *Proxy) deleteWorker(ctx context.Context, in *deleteWorker) (*registrationAnswer, error) {
	if err := p.unlessStored(ctx, in.Name, checkName(in.Name)); err != nil {
		return nil, err
	}
	cond, err := parsePrecondition(in.IfMatch, "")
	if err != nil {
		return nil, err
	}
	return p.del(ctx, in.Name, in.Jobs, func(current *entry) error { return cond.check(in.Name, current) })
}

// put stores, tells, and answers 201 for a new worker.
func (p *Proxy) put(ctx context.Context, reg damrey.Registration, allow guard) (*registrationAnswer, error) {
	stored, op, err := p.table.put(ctx, reg, allow)
	if err != nil {
		return nil, err
	}
	p.tell(ctx, op, reg.Name, stored.revision)
	if op == opAdd {
		return newAnswer(http.StatusCreated, stored), nil
	}
	return newAnswer(http.StatusOK, stored), nil
}

// del removes, tells, and answers with what was removed, so that it can be put back. jobs says what becomes of messages
// that are stored for the worker.
func (p *Proxy) del(ctx context.Context, name, jobs string, allow guard) (*registrationAnswer, error) {
	if jobs == deadJobs {
		return p.delBurying(ctx, name, allow)
	}
	removed, err := p.table.del(ctx, name, func(current *entry) error {
		err := allow(current)
		if err == nil && current != nil {
			err = p.checkJobs(ctx, name, jobs)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	p.tell(ctx, opDelete, name, removed.revision)
	return newAnswer(http.StatusOK, removed), nil
}

func (p *Proxy) routeWorkers(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-workers", Method: http.MethodGet, Path: "/v1/workers", Tags: []string{"workers"},
		Summary:     "List the routing table",
		Description: "All registrations with their revisions. A list that would not be complete is refused with 503.",
	}, look(p.listWorkers))
	huma.Register(a, huma.Operation{
		OperationID: "get-worker", Method: http.MethodGet, Path: "/v1/workers/{name}", Tags: []string{"workers"},
		Summary: "Get a registration",
	}, look(p.getWorker))
	put := documentOperation(huma.Operation{
		OperationID: "put-worker", Method: http.MethodPut, Path: "/v1/workers/{name}", Tags: []string{"workers"},
		Summary: "Register a worker or replace its registration",
	})
	huma.Register(a, put, answer(p.putWorker))
	describeDocument(a, put, "A registration, whole. The name may be left out; revision and updated are ignored. "+
		"Towards max_messages and max_bytes counts what is stored on durable routes to the worker, and each id that is remembered there. A limit of 0 is refused; leave it out for no bound, or the default. "+
		"Fields that this version does not know may stay as the entry has, or had, them.")
	huma.Register(a, huma.Operation{
		OperationID: "delete-worker", Method: http.MethodDelete, Path: "/v1/workers/{name}", Tags: []string{"workers"},
		Summary:     "Remove a worker from the table",
		Description: "Answers with the registration that was removed. Whatever is stored can be removed, also under what is no worker's name.",
	}, answer(p.deleteWorker))
}
