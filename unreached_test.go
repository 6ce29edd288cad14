package damrey

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// Several servers that fail in turn, each for its own reason, are told once a
// minute each, and our own port makes no new reason.
func TestUnreached_ToldByReasonFromTimeToTime(t *testing.T) {
	t.Parallel()
	failed := func(op string, port, own int, err error) error {
		return fmt.Errorf("nats: %w", &net.OpError{
			Op: op, Net: "tcp", Source: &net.TCPAddr{Port: own}, Addr: &net.TCPAddr{Port: port}, Err: err,
		})
	}
	var u unreached
	begin := time.Unix(1_000_000, 0)
	for i, c := range []struct {
		after time.Duration
		err   error
		want  bool
	}{
		{0, failed("dial", 1, 0, syscall.ECONNREFUSED), true},
		{time.Second, failed("dial", 2, 0, syscall.ECONNREFUSED), true},
		{2 * time.Second, failed("dial", 1, 0, syscall.ECONNREFUSED), false},
		{3 * time.Second, failed("read", 1, 1001, syscall.ECONNRESET), true},
		{4 * time.Second, failed("read", 1, 1002, syscall.ECONNRESET), false},
		{5 * time.Second, failed("dial", 1, 0, syscall.EMFILE), true},
		{6 * time.Second, errors.New("nats: timeout"), true},
		{7 * time.Second, errors.New("nats: timeout"), false},
		{tellAgain, failed("dial", 1, 0, syscall.ECONNREFUSED), true},
		{tellAgain + time.Second, failed("dial", 1, 0, syscall.ECONNREFUSED), false},
	} {
		if got := u.news(reason(c.err), begin.Add(c.after)); got != c.want {
			t.Errorf("%d: %v: %v", i, c.err, got)
		}
	}
	u.over()
	if !u.news("nats: timeout", begin) {
		t.Error("what was said before the connection came back is not said again")
	}
}
