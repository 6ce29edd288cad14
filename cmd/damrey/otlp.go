package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/damrey/damrey"
)

// otlp says which lines are traced, and where spans are sent to: a collector of OpenTelemetry's, over HTTP.
type otlp struct {
	url    string
	share  float64
	lookup func(string) (string, bool)
}

func (o *otlp) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.url, "otlp", "", "`URL` of an OpenTelemetry collector that takes spans over HTTP, such as http://127.0.0.1:4318 (default: OTEL_EXPORTER_OTLP_ENDPOINT)")
	cmd.Flags().Float64Var(&o.share, "trace-sampling", 0, "`SHARE` of the lines beginning here that are traced and kept, such as 0.01")
	inRange(cmd.Flags(), "trace-sampling", "0 to 1")
}

func (o *otlp) check() error {
	if !(o.share >= 0 && o.share <= 1) { // NaN is in no range
		return usageError("--trace-sampling %v; use 0 to 1", o.share)
	}
	if o.url == "" {
		return nil
	}
	u, err := url.Parse(o.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usageError("--otlp %q is no URL of a collector; use one such as http://127.0.0.1:4318", o.url)
	}
	return nil
}

// sampling of nobody is none.
func (o *otlp) sampling() float64 {
	if o == nil {
		return 0
	}
	return o.share
}

// from says where the variables are found.
func (o *otlp) from(a *app) *otlp {
	o.lookup = a.lookup
	return o
}

// endpoint is where the collector takes spans, unless the URL says another path.
func (o *otlp) endpoint() string {
	u, err := url.Parse(o.url)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return o.url
	}
	return u.JoinPath("v1", "traces").String()
}

// The exporter reads these itself.
var otlpVariables = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}

func (o *otlp) wanted() bool {
	if o == nil || o.url != "" {
		return o != nil
	}
	for _, name := range otlpVariables {
		if value, ok := o.lookup(name); ok && value != "" {
			return true
		}
	}
	return false
}

// flushTime bounds sending what is left at the end.
const flushTime = 3 * time.Second

// start gives what takes spans, nil when nobody wants them. What is left is sent at its turn when the daemon ends.
func (o *otlp) start(g *group, service string, log zerolog.Logger) (trace.TracerProvider, error) {
	if !o.wanted() {
		return nil, nil
	}
	var opts []otlptracehttp.Option
	if o.url != "" {
		opts = append(opts, otlptracehttp.WithEndpointURL(o.endpoint()))
	}
	exporter, err := otlptracehttp.New(g.ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("--otlp: %w", err)
	}
	told := &toldOnce{log: log}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(told.tell))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(resource.NewSchemaless(
		semconv.ServiceName(service), semconv.ServiceVersion(damrey.Version))))
	g.cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushTime)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn().Err(err).Msg("the last spans did not reach the collector")
		}
	})
	return provider, nil
}

// toldOnce logs what OpenTelemetry reports, at most once a minute: while a collector is away it reports every few seconds.
type toldOnce struct {
	log zerolog.Logger

	mu    sync.Mutex // guards until
	until time.Time
}

func (t *toldOnce) tell(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.After(t.until) {
		t.until = now.Add(time.Minute)
		t.log.Warn().Err(err).Msg("spans do not reach the collector")
	}
}
