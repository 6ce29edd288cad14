package bucket_test

import (
	"slices"
	"testing"

	"github.com/damrey/damrey/internal/bucket"
)

// A proxy may end after it has closed a stream to remove it, and before it has removed it.
func TestEnsureJobs_OpensAStreamWhoseRemovalWasInterrupted(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	if err := bucket.EnsureJobs(t.Context(), js, "damrey", "w", bucket.Limits{}); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "DAMREY_JOBS_w")
	if err != nil {
		t.Fatal(err)
	}
	closed := s.CachedInfo().Config
	closed.Subjects = []string{"damrey.closed.w"}
	if _, err := js.UpdateStream(t.Context(), closed); err != nil {
		t.Fatal(err)
	}
	if err := bucket.EnsureJobs(t.Context(), js, "damrey", "w", bucket.Limits{}); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"damrey.job.w.x.src", "damrey.held.w.x.src.1", "damrey.id.w.1"} {
		if _, err := js.Publish(t.Context(), subject, nil); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(info.Config.Subjects, "damrey.closed.w") {
		t.Errorf("it takes %q", info.Config.Subjects)
	}
}
