package broker

import "testing"

func TestLackOfRoom(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, c := range []struct {
		free, total, times uint64
		want               string
	}{
		{free: 64 * mb, total: 1 << 40, times: 1},
		{free: 64*mb - 1, total: 1 << 40, times: 1, want: "64.0 MB are free on its disk, and a server of a cluster needs 64.0 MB"},
		{free: 100 * mb, total: 1 << 40, times: 2, want: "100.0 MB are free on its disk, and a server of a cluster needs 128.0 MB"},
		{free: 4 * mb, total: 64 * mb, times: 1},
		{free: 0, total: 64 * mb, times: 1, want: "0.0 MB are free on its disk, and a server of a cluster needs 4.0 MB"},
		{free: 0, total: 0, times: 1}, // a file system that does not count
	} {
		got := ""
		if err := lackOfRoom(c.total-c.free, c.total, c.times); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%d free of %d: %q, want %q", c.free, c.total, got, c.want)
		}
	}
}
