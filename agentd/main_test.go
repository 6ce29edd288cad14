package agentd_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A broker leaves the loops of a stream behind that is made in the moment in which it ends, as tests end it.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}
