package bucket_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/damrey/damrey/internal/bucket"
)

func TestCheckReplicas(t *testing.T) {
	t.Parallel()
	for n := -1; n <= 6; n++ {
		if err := bucket.CheckReplicas(n); (err == nil) != (n == 1 || n == 3 || n == 5) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// A server alone is no cluster, for new streams as for existing ones.
func TestEnsure_SaysThatThereAreTooFewServers(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	three := bucket.WithReplicas(js, 3, func(stream string, from, to int) { t.Errorf("told of %s: %d to %d", stream, from, to) })
	check := func(err error) {
		t.Helper()
		if !errors.Is(err, bucket.ErrReplicas) || !strings.Contains(err.Error(), "type --replicas 1") {
			t.Error(err)
		}
	}
	check(bucket.Ensure(testContext(t), three, "damrey"))
	if err := bucket.Ensure(testContext(t), bucket.WithReplicas(js, 1, nil), "damrey"); err != nil {
		t.Fatal(err)
	}
	check(bucket.Ensure(testContext(t), three, "damrey"))
	check(bucket.EnsureDead(testContext(t), three, "damrey"))
}
