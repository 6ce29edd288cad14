package bucket_test

import (
	"testing"

	"github.com/damrey/damrey/internal/bucket"
)

func TestCount_TellsIDsFromWhatIsHeldAndFromJobs(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	if err := bucket.EnsureJobs(t.Context(), js, "damrey", "bank", bucket.Limits{}); err != nil {
		t.Fatal(err)
	}
	counts := func() [2]uint64 {
		ids, err := bucket.IDs(t.Context(), js, "damrey", "bank")
		if err != nil {
			t.Fatal(err)
		}
		held, err := bucket.HeldCount(t.Context(), js, "damrey", "bank")
		if err != nil {
			t.Fatal(err)
		}
		return [2]uint64{ids, held}
	}
	if got := counts(); got != [2]uint64{} {
		t.Errorf("an empty stream has %d", got)
	}
	for _, subject := range []string{
		"damrey.job.bank.pay.entry", "damrey.id.bank.a", "damrey.held.bank.pay.entry.1", "damrey.id.bank.b", "damrey.id.bank.c", "damrey.job.bank.pay.entry",
	} {
		if _, err := js.Publish(t.Context(), subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := counts(); got != [2]uint64{3, 1} {
		t.Errorf("counted %d", got)
	}
}
