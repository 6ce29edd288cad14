package damrey_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// A broker that stores nothing, any more or at all, is said within the sender's time.
func TestDurable_WithoutJetStreamIsSaid(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x"))
	must(t, f.srv.DisableJetStream())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := src.Send(ctx, "x")
	if !errors.Is(err, damrey.ErrNotStored) || !strings.Contains(err.Error(), "src→x→w") {
		t.Errorf("sent without JetStream: %v", err)
	}
}
