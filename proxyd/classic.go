package proxyd

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey"
)

// The routes of the original system. They take any Content-Type, since curl -d sends a form's.

type classicBody struct {
	IfMatch string `header:"If-Match" doc:"Only while the worker is at this revision, else 412; * is any"`
	RawBody []byte `contentType:"application/json"`
}

type classicList struct {
	Damaged string `header:"Damrey-Damaged" doc:"Names of entries that cannot be read and are not in the list"`
	Body    []damrey.Registration
}

// addWorker is POST /worker/add.
func (p *Proxy) addWorker(ctx context.Context, in *classicBody) (*registrationAnswer, error) {
	cond, err := parsePrecondition(in.IfMatch, "")
	if err != nil {
		return nil, err
	}
	reg, err := p.readDocument(ctx, in.RawBody, "")
	if err != nil {
		return nil, err
	}
	return p.put(ctx, reg, func(current *entry) error {
		if err := cond.check(reg.Name, current); err != nil {
			return err
		}
		if current == nil {
			return nil
		}
		if current.damage != nil {
			return damaged(http.StatusConflict, current)
		}
		return problem(http.StatusConflict, "worker %q is registered already, at revision %d; change it with POST /worker/chg, "+
			"or delete it first with POST /worker/del", reg.Name, current.revision)
	})
}

// changeWorker is POST /worker/chg.
func (p *Proxy) changeWorker(ctx context.Context, in *classicBody) (*registrationAnswer, error) {
	cond, err := parsePrecondition(in.IfMatch, "")
	if err != nil {
		return nil, err
	}
	reg, err := p.readDocument(ctx, in.RawBody, "")
	if err != nil {
		return nil, err
	}
	return p.put(ctx, reg, func(current *entry) error {
		if err := cond.check(reg.Name, current); err != nil {
			return err
		}
		if current != nil {
			return nil
		}
		return problem(http.StatusNotFound, "%s; register it with POST /worker/add", notRegistered(reg.Name))
	})
}

// removeWorker is POST /worker/del.
func (p *Proxy) removeWorker(ctx context.Context, in *classicBody) (*registrationAnswer, error) {
	name, err := parseName(in.RawBody)
	if err := p.unlessStored(ctx, name, err); err != nil {
		return nil, err
	}
	cond, err := parsePrecondition(in.IfMatch, "")
	if err != nil {
		return nil, err
	}
	return p.del(ctx, name, "", func(current *entry) error { return cond.check(name, current) })
}

// getWorkers is GET /workers/get.
func (p *Proxy) getWorkers(ctx context.Context, _ *struct{}) (*classicList, error) {
	entries, err := p.table.list(ctx)
	if err != nil {
		return nil, err
	}
	out := &classicList{Body: make([]damrey.Registration, 0, len(entries))}
	var damaged []string
	for _, e := range entries {
		if e.damage == nil {
			out.Body = append(out.Body, e.reg)
			continue
		}
		p.logDamage(e)
		damaged = append(damaged, e.reg.Name)
	}
	out.Damaged = strings.Join(damaged, ", ")
	return out, nil
}

func (p *Proxy) routeClassic(a huma.API) {
	const anyType = "The Content-Type does not matter."
	for _, route := range []struct {
		id, path, summary, body string
		handle                  func(context.Context, *classicBody) (*registrationAnswer, error)
	}{
		{"classic-add", "/worker/add", "Register a worker; 409 when it is registered already", "A registration, whole. " + anyType, p.addWorker},
		{"classic-chg", "/worker/chg", "Replace a worker's registration; 404 when there is none", "A registration, whole. " + anyType, p.changeWorker},
		{"classic-del", "/worker/del", "Remove a worker from the table; 404 when it is not there", "Only the name is needed. " + anyType, p.removeWorker},
	} {
		op := documentOperation(huma.Operation{
			OperationID: route.id, Method: http.MethodPost, Path: route.path, Tags: []string{"classic"}, Summary: route.summary,
		})
		huma.Register(a, op, answer(route.handle))
		describeDocument(a, op, route.body)
	}
	huma.Register(a, huma.Operation{
		OperationID: "classic-list", Method: http.MethodGet, Path: "/workers/get", Tags: []string{"classic"},
		Summary: "List the registrations",
	}, look(p.getWorkers))
}
