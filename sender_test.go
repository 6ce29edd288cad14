package damrey_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/relay"
	"github.com/nats-io/nats.go/jetstream"
)

// The window of an application's id may be shorter than one sending is repeated for.
func TestSender_WithIDAndAShortWindowIsStoredOnce(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	short := durably("x", "w")
	short.Window = damrey.Duration(time.Second)
	f.register("src", short)
	f.register("w")
	js := f.jobs("w")
	link, err := relay.Listen("127.0.0.1:0", strings.TrimPrefix(f.srv.ClientURL(), "nats://"))
	must(t, err)
	t.Cleanup(link.Close)
	src := f.serve(f.instance(damrey.Config{Name: "src"}, damrey.WithConnect(damrey.ConnectConfig{URL: "nats://" + link.Addr()})))
	must(t, src.Send(f.context(), "x", "before"))

	link.Set(relay.State{FreezeDown: true}) // its messages come, their acknowledgements do not
	ended := make(chan error, 1)
	go func() { ended <- src.With(damrey.WithID("order-42")).Send(f.context(), "x", "42") }()
	eventually(t, "it is stored, and its id forgotten", func() bool {
		s, err := js.Stream(f.context(), bucket.JobsStream(damrey.DefaultPrefix, "w"))
		must(t, err)
		_, err = s.GetLastMsgForSubject(f.context(), "damrey.id.w.>")
		return s.CachedInfo().State.LastSeq >= 3 && errors.Is(err, jetstream.ErrMsgNotFound)
	})
	time.Sleep(2 * time.Second) // for another attempt
	link.Heal()
	must(t, <-ended)
	s, err := js.Stream(f.context(), bucket.JobsStream(damrey.DefaultPrefix, "w"))
	must(t, err)
	info, err := s.Info(f.context(), jetstream.WithSubjectFilter("damrey.job.>"))
	must(t, err)
	for subject, n := range info.State.Subjects {
		if n != 2 {
			t.Errorf("%d are stored on %s, and 2 were sent", n, subject)
		}
	}
}
