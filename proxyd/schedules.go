package proxyd

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

type listSchedules struct {
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many schedules are listed at most"`
	After uint64 `query:"after" doc:"Only schedules with a higher sequence; the next of the answer before"`
}

type addSchedule struct{ Body api.NewSchedule }

type oneSchedule struct {
	ID string `path:"id" doc:"Id of the schedule" example:"nightly-report"`
}

type scheduleListAnswer struct{ Body api.ScheduleList }

type scheduleAnswer struct {
	Status int
	Body   api.Schedule
}

// listSchedules is GET /v1/schedules.
func (p *Proxy) listSchedules(ctx context.Context, in *listSchedules) (*scheduleListAnswer, error) {
	list, err := p.later.list(ctx, in.Limit, in.After)
	if err != nil {
		return nil, err
	}
	return &scheduleListAnswer{Body: list}, nil
}

// addSchedule is POST /v1/schedules.
func (p *Proxy) addSchedule(ctx context.Context, in *addSchedule) (*scheduleAnswer, error) {
	asked, err := parseSchedule(in.Body, time.Now())
	if err != nil {
		return nil, err
	}
	stored, fresh, err := p.later.add(ctx, asked)
	if err != nil {
		return nil, err
	}
	if !fresh {
		return &scheduleAnswer{Status: http.StatusOK, Body: stored}, nil
	}
	p.cfg.Log.Info().Str("id", asked.ID).Str("from", asked.From).Str("type", asked.Type).Str("asked", asked.Asked).
		Str("by", callerOf(ctx).addr).Msg("schedule added")
	return &scheduleAnswer{Status: http.StatusCreated, Body: stored}, nil
}

// deleteSchedule is DELETE /v1/schedules/{id}.
func (p *Proxy) deleteSchedule(ctx context.Context, in *oneSchedule) (*struct{}, error) {
	err := p.later.cancel(ctx, in.ID)
	if errors.Is(err, damrey.ErrNotScheduled) {
		return nil, problem(http.StatusNotFound, "nothing waits under the id %q (any more); `damrey schedule ls` shows what does", shorten(in.ID))
	}
	if err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Str("id", in.ID).Str("by", callerOf(ctx).addr).Msg("schedule removed")
	return nil, nil
}

func (p *Proxy) routeSchedules(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-schedules", Method: http.MethodGet, Path: "/v1/schedules", Tags: []string{"schedules"},
		Summary: "List schedules and delayed messages",
		Description: "Oldest first. An answer ends at the limit, but also when it becomes large or took long; next then says " +
			"where to go on.",
	}, look(p.listSchedules))
	huma.Register(a, huma.Operation{
		OperationID: "add-schedule", Method: http.MethodPost, Path: "/v1/schedules", Tags: []string{"schedules"},
		Summary: "Send a message later, once or again and again", DefaultStatus: http.StatusCreated,
		Description: "Where it goes is looked up each time that it is due. 200 when the same schedule is there already, 409 when " +
			"another has its id.",
	}, answer(p.addSchedule))
	huma.Register(a, huma.Operation{
		OperationID: "delete-schedule", Method: http.MethodDelete, Path: "/v1/schedules/{id}", Tags: []string{"schedules"},
		Summary: "Remove a schedule, or take back a delayed message", DefaultStatus: http.StatusNoContent,
	}, answer(p.deleteSchedule))
}
