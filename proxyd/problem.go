package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
)

// problem makes the body of an answer that is not a success (RFC 9457).
func problem(status int, format string, args ...any) *huma.ErrorModel {
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: fmt.Sprintf(format, args...)}
}

// at names the part of the request that is wrong. The value is left out when it is nil.
func at(p *huma.ErrorModel, location, message string, value any) *huma.ErrorModel {
	p.Errors = append(p.Errors, &huma.ErrorDetail{Location: location, Message: message, Value: value})
	return p
}

// tooLarge does not tell the size, which is not known of a body that comes in chunks.
func tooLarge() *huma.ErrorModel {
	return problem(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes, the most that is taken; "+
		"leave commands out, for example by one of type * for all that go to the same worker", maxBody)
}

// What huma says where we have more to say.
const (
	humaNoBody   = "request body is required"
	humaTooLarge = "request body is too large"
	humaInvalid  = "validation failed"
)

// noBody shows what belongs into the body of an operation.
func noBody(operation string) string {
	example := "JSON; /openapi.json describes what belongs there"
	switch operation {
	case "classic-add", "classic-chg", "put-worker":
		example = `a registration, such as {"name":"entry","commands":[{"name":"add","worker":"add"}]}`
	case "classic-del":
		example = `{"name":"entry"}`
	case "edit-dead":
		example = `{"type":"add","args":["1","2"]}`
	case "claim-agent":
		example = `{"id":"0123456789abcdef","host":"machine-1","pid":4711}`
	}
	return "the body is empty; send " + example
}

// What a problem says of what is stored: of a change, and of what only looks.
const (
	unchanged = "; not stored, nothing was changed"
	untold    = ""
)

// problemOf turns what the store returns into a problem, with what it says of what is stored; a problem stays what it is.
func problemOf(err error, stored string) error {
	if _, ok := errors.AsType[huma.StatusError](err); ok || err == nil {
		return err
	}
	switch {
	case errors.Is(err, errTrouble) && !errors.Is(err, errUnsure):
		return problem(http.StatusInsufficientStorage, "%v%s", err, stored)
	case errors.Is(err, errUnsure):
		return problem(http.StatusServiceUnavailable, "%v; whether it was stored is not known: look before you repeat it", err)
	case errors.Is(err, errAway), errors.Is(err, errMajority):
		return problem(http.StatusServiceUnavailable, "%v%s: try again", err, stored)
	case errors.Is(err, errIncomplete):
		return problem(http.StatusServiceUnavailable, "%v", err)
	case errors.Is(err, jetstream.ErrMaximumConsumersLimit):
		return problem(http.StatusServiceUnavailable,
			"the bucket has as many watchers as its server allows; raise `jetstream { limits { default_max_consumers: -1 } }` there: %v", err)
	case errors.Is(err, errPayload):
		return problem(http.StatusRequestEntityTooLarge, "%v%s", err, stored)
	}
	return problem(http.StatusInternalServerError, "%v", err)
}

// wrongField is a problem of a registration, or of a name in a path.
func wrongField(status int, under string, err error, value any) error {
	field, ok := errors.AsType[*damrey.FieldError](err)
	if !ok {
		field = &damrey.FieldError{Problem: err.Error()}
	}
	location := strings.TrimSuffix(under+"."+field.Field, ".")
	return at(problem(status, "%s", field.Error()), location, field.Problem, value)
}

func checkName(name string) error {
	if err := damrey.CheckWorkerName(name); err != nil {
		return at(problem(http.StatusUnprocessableEntity, "worker %v", err), "path.name", err.Error(), shorten(name))
	}
	return nil
}

// withInstance names the path in every problem that huma writes, and puts its words about bodies into ours.
func withInstance(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	switch {
	case p.Detail == humaNoBody:
		p.Detail = noBody(ctx.Operation().OperationID)
	case strings.HasPrefix(p.Detail, humaTooLarge):
		p.Detail = tooLarge().Detail
	case p.Status == http.StatusUnsupportedMediaType:
		p.Detail = "the body's content type is not read here; send Content-Type: application/json"
	case p.Detail == humaInvalid && len(p.Errors) > 0:
		p.Detail = invalid(p.Errors[0])
	}
	if p.Instance == "" {
		u := ctx.URL()
		p.Instance = u.EscapedPath()
	}
	return v, nil
}

// invalid names the field, the value if it is short, and what is wrong with it, as the problems that we write do.
func invalid(e *huma.ErrorDetail) string {
	_, field, ok := strings.Cut(e.Location, ".")
	if !ok {
		return e.Message // of the whole body
	}
	switch value := e.Value.(type) {
	case string:
		return fmt.Sprintf("%s %q: %s", field, shorten(value), e.Message)
	case nil, map[string]any, []any:
		return field + ": " + e.Message
	default:
		return fmt.Sprintf("%s %v: %s", field, value, e.Message)
	}
}

// writeProblem answers a request that no route of huma's took.
func writeProblem(w http.ResponseWriter, r *http.Request, p *huma.ErrorModel) {
	p.Instance = r.URL.EscapedPath()
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller has gone; there is nobody to tell
}

// shorten keeps a quoted value readable.
func shorten(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:77], "") + "..."
}

// answer makes a huma handler of f, whose errors become problems.
func answer[I, O any](f func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		return out, problemOf(err, unchanged)
	}
}

// look is answer for an f that changes nothing.
func look[I, O any](f func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		return out, problemOf(err, untold)
	}
}
