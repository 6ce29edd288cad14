package proxyd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/damrey/damrey"
)

// routes are all described in OpenAPI 3.1 at /openapi.json.
func (p *Proxy) routes() (*http.ServeMux, error) {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Damrey", cmp.Or(p.cfg.Version, "0.0.0"))
	config.Info.Description = "The routing table of a Damrey fabric. Errors are RFC 9457 problems that name the field."
	config.DocsPath = ""    // huma's page loads from outside
	config.OpenAPIPath = "" // huma's handler makes the document at the first request, without a lock
	config.SchemasPath = ""
	config.CreateHooks = nil // else a $schema member stands in every answer
	config.Transformers = []huma.Transformer{withInstance}
	config.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}

	a := humago.New(mux, config)
	a.OpenAPI().Components.Schemas.RegisterTypeAlias(reflect.TypeFor[damrey.MPU](), reflect.TypeFor[mpuSchema]())
	p.routeClassic(a)
	p.routeWorkers(a)
	p.routeHistory(a)
	p.routeFabric(a)
	p.routeAgents(a)
	p.routeDead(a)
	p.routeSchedules(a)
	p.routeNetwork(a)
	p.routeListeners(a)
	p.routeStreams(a)
	p.routeMetrics(a)
	p.routeAlarms(a)
	p.routeTraces(a)
	p.routeHealth(a)

	document, err := json.Marshal(a.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("describing the REST interface: %w", err)
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document) // the caller has gone; there is nobody to tell
	})
	return mux, routePage(mux)
}

// mpuSchema describes damrey.MPU, whose JSON is a string.
type mpuSchema struct{}

// Schema is what huma asks for.
func (mpuSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: "^[1-9][0-9]*$", Examples: []any{"100"},
		Description: "Message processing units; a number is read, too",
	}
}

// documentOperation takes the body as it is, so that what is wrong with it is said in the words of the table.
func documentOperation(op huma.Operation) huma.Operation {
	op.SkipValidateBody = true
	op.MaxBodyBytes = maxBody + 1 // huma refuses at its limit, not beyond it
	op.BodyReadTimeout = 10 * time.Second
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	return op
}

// describeDocument says what such a body is, which huma cannot know.
func describeDocument(a huma.API, op huma.Operation, description string) {
	op.RequestBody.Description = description
	op.RequestBody.Content["application/json"] = &huma.MediaType{
		Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[damrey.Registration](), true, ""),
	}
}
