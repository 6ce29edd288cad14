//go:build unix

package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// answer is what all answers of NATS's service discovery begin with.
type answer struct {
	Name, ID, Version, Type string
	Metadata                map[string]string
}

// service is an instance as discover.mjs prints it.
type service struct {
	Ping answer
	Info struct {
		answer
		Description string
		Endpoints   []struct{ Name, Subject string }
	}
	Stats struct {
		answer
		Started   time.Time
		Endpoints []endpoint
	}
}

type endpoint struct {
	Name                  string
	NumRequests           int           `json:"num_requests"`
	NumErrors             int           `json:"num_errors"`
	LastError             string        `json:"last_error"`
	ProcessingTime        time.Duration `json:"processing_time"`
	AverageProcessingTime time.Duration `json:"average_processing_time"`
}

// A client that knows nothing of Damrey finds its instances, and what it reads is what was sent.
func TestServices_AreReadByAnotherClient(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		lacks(t, "this test discovers services in Node, and node is not there (%v); install Node 18 or later with npm, on Debian: apt-get install nodejs npm", err)
	}
	dir := filepath.Join(repository(t), "examples", "anylanguage", "node")
	installModules(t, dir)
	s := startSquare(t)
	d := discoverer{t: t, s: s, node: node, dir: dir}

	d.findsAll()

	add, square := d.endpoint("add"), d.endpoint("square")
	for range 7 {
		s.answers("3", "4", http.StatusOK, "49\n")
	}
	for range 3 {
		s.answers("x", "4", http.StatusBadRequest, "not a whole number")
	}
	eventually(t, "add and square count what was sent", func() bool {
		a, q := d.endpoint("add"), d.endpoint("square")
		return a.NumRequests == add.NumRequests+10 && a.NumErrors == add.NumErrors+3 && strings.Contains(a.LastError, "not a whole number") &&
			q.NumRequests == square.NumRequests+7 && q.NumErrors == square.NumErrors
	})

	// One whose time is known: at least a fifth of a second, and no longer than its requester waited.
	const works = 200 * time.Millisecond
	s.damrey("worker", "add", "slow")
	start(t, s.environment(), s.home, filepath.Join(s.state(), "bin", "damrey"), "worker", "run", "slow", "--", "sh", "-c", "while read -r line; do sleep 0.2; echo done; done")
	s.damrey("worker", "chg", "entry", "--command", "wait=slow")
	var waited time.Duration
	for range 3 {
		begin := time.Now()
		s.damrey("request", "entry", "wait")
		waited += time.Since(begin)
	}
	eventually(t, "the requests of slow are counted", func() bool { return d.endpoint("slow").NumRequests == 3 })
	slow := d.endpoint("slow")
	if slow.ProcessingTime < 3*works || slow.ProcessingTime > waited || slow.AverageProcessingTime != slow.ProcessingTime/3 || slow.NumErrors != 0 {
		t.Errorf("slow tells %+v of three requests that each took %v to work and all of them %v", slow, works, waited)
	}
}

type discoverer struct {
	t         *testing.T
	s         *square
	node, dir string
}

// look asks every instance, or those of one worker.
func (d discoverer) look(worker ...string) []service {
	d.t.Helper()
	cmd := exec.Command(d.node, append([]string{"discover.mjs"}, worker...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = d.dir, d.s.environment(), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("discover.mjs: %v", err)
	}
	var found []service
	if err := json.Unmarshal(out, &found); err != nil {
		d.t.Fatalf("discover.mjs printed %s: %v", out, err)
	}
	return found
}

// findsAll looks at what each says that it is.
func (d discoverer) findsAll() {
	d.t.Helper()
	var found []service
	want := []string{"add", "damrey-agent", "damrey-proxy", "entry", "square"}
	eventually(d.t, "all are found once: "+strings.Join(want, ", "), func() bool {
		found = d.look()
		var names []string
		for _, f := range found {
			names = append(names, f.Ping.Name)
		}
		slices.Sort(names)
		return slices.Equal(names, want)
	})
	for _, f := range found {
		if f.Ping.Version != damrey.Version || f.Ping.ID == "" || f.Ping.Type != "io.nats.micro.v1.ping_response" {
			d.t.Errorf("%s answers the ping %+v", f.Ping.Name, f.Ping)
		}
		if f.Info.Name != f.Ping.Name || f.Info.Version != f.Ping.Version || f.Info.Type != "io.nats.micro.v1.info_response" || f.Info.Description == "" {
			d.t.Errorf("%s informs: %+v", f.Ping.Name, f.Info)
		}
		if f.Stats.Name != f.Ping.Name || f.Stats.Type != "io.nats.micro.v1.stats_response" || f.Stats.Started.IsZero() || f.Stats.Started.After(time.Now()) {
			d.t.Errorf("%s tells: %+v", f.Ping.Name, f.Stats)
		}
		if strings.HasPrefix(f.Ping.Name, "damrey-") {
			if n := len(f.Info.Endpoints); n == 0 || f.Info.Endpoints[n-1].Name != "bridge" || f.Info.Endpoints[n-1].Subject != "damrey.out.*.*" || len(f.Stats.Endpoints) != n {
				d.t.Errorf("%s has the endpoints %+v and tells of %+v", f.Ping.Name, f.Info.Endpoints, f.Stats.Endpoints)
			}
			continue
		}
		if len(f.Info.Endpoints) != 1 || f.Info.Endpoints[0].Name != f.Ping.Name || f.Info.Endpoints[0].Subject != "damrey.msg."+f.Ping.Name+".*.*" {
			d.t.Errorf("%s has the endpoints %+v", f.Ping.Name, f.Info.Endpoints)
		}
		if f.Ping.Metadata["fabric"] != "damrey" || f.Ping.Metadata["pid"] == "" {
			d.t.Errorf("%s tells of itself: %v", f.Ping.Name, f.Ping.Metadata)
		}
	}
}

// endpoint is what the only instance of a worker has counted.
func (d discoverer) endpoint(worker string) endpoint {
	d.t.Helper()
	var found []service
	eventually(d.t, "one instance of "+worker+" is found", func() bool {
		found = d.look(worker)
		return len(found) == 1 && len(found[0].Stats.Endpoints) == 1
	})
	return found[0].Stats.Endpoints[0]
}
