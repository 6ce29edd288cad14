package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd/web"
)

// stage serves the page, and under it documents of the REST interface that a test makes up.
type stage struct {
	t       *testing.T
	address string
	routes  *http.ServeMux

	mu      sync.Mutex // guards all below
	server  *http.Server
	pulse   chan struct{} // closed and made anew when the network changed
	network api.Network
	docs    map[string]any // answers to GET by path
	broken  map[string]int // statuses by path
	asked   []string       // method, path, query and body of each request but those for files
	dead    []api.DeadDetail
	// failures are the last errors of every route.
	failures []api.LastError
	taps     chan api.TapCopy // to who taps now; those before may not know yet that their client has left
	events   chan api.Event
}

func newStage(t *testing.T) *stage {
	t.Helper()
	page, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{
		t: t, routes: http.NewServeMux(), pulse: make(chan struct{}), docs: make(map[string]any), broken: make(map[string]int),
		events: make(chan api.Event, 100),
	}
	s.docs["/v1/fabric"] = api.Fabric{Prefix: "damrey", Version: "1.2.3", NATS: []string{"nats://10.1.2.3:4222"}}
	s.docs["/v1/agents"] = api.AgentList{Agents: []api.Agent{{Name: "10.1.2.3:4222", Host: "machine-1", PID: 4711, Since: time.Now(), Renewed: time.Now(), Held: true}}}
	s.docs["/v1/instances"] = api.InstanceList{At: time.Now(), Instances: []api.Instance{}}
	s.docs["/v1/traces"] = api.TraceList{Traces: []api.TraceHead{}}
	s.docs["/v1/alarms"] = api.AlarmList{Alarms: []api.Alarm{}}
	s.docs["/v1/silences"] = map[string]any{"silences": []api.Silence{}}
	s.docs["/v1/workers"] = api.WorkerList{Workers: []api.Worker{}}
	s.routes.HandleFunc("GET /{$}", page.ServeDocument)
	s.routes.HandleFunc("GET "+web.Path, func(w http.ResponseWriter, r *http.Request) {
		if !page.ServeFile(w, r) {
			http.NotFound(w, r)
		}
	})
	s.routes.HandleFunc("GET /v1/live", s.live)
	s.routes.HandleFunc("GET /v1/tap", s.tap)
	s.routes.HandleFunc("GET /v1/events", s.happened)
	s.routes.HandleFunc("GET /v1/stats", s.stats)
	s.routes.HandleFunc("GET /v1/dead", s.listDead)
	s.routes.HandleFunc("GET /v1/dead/{sequence}", s.oneDead)
	s.routes.HandleFunc("POST /v1/dead/{sequence}/retry", s.retryDead)
	s.routes.HandleFunc("PATCH /v1/dead/{sequence}", s.editDead)
	s.routes.HandleFunc("DELETE /v1/dead/{sequence}", s.purgeDead)
	s.routes.HandleFunc("GET /v1/workers/{name}/history", s.history)
	s.routes.HandleFunc("/v1/", s.document)
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *stage) url() string { return "http://" + s.address }

// start listens, the second time where it did before.
func (s *stage) start() {
	s.t.Helper()
	where := s.address
	if where == "" {
		where = "127.0.0.1:0"
	}
	var ln net.Listener
	var err error
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if ln, err = net.Listen("tcp", where); err == nil {
			break
		}
		if time.Now().After(end) {
			s.t.Fatal(err)
		}
	}
	server := &http.Server{Handler: http.HandlerFunc(s.serve)}
	s.mu.Lock()
	s.address, s.server = ln.Addr().String(), server
	s.mu.Unlock()
	go func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("serving: %v", err)
		}
	}()
}

// stop cuts every connection off.
func (s *stage) stop() {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	if err := server.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	status := s.broken[r.URL.Path]
	s.mu.Unlock()
	if status != 0 {
		answer(w, status, api.Problem{Status: status, Title: http.StatusText(status), Detail: "the broker is away"})
		return
	}
	s.routes.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // the page has gone
}

// set changes what is shown, and tells who listens.
func (s *stage) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.network.At = time.Now()
	close(s.pulse)
	s.pulse = make(chan struct{})
}

func (s *stage) show(n api.Network) {
	s.set(func() { s.network = n })
}

// begin sends the head of an answer that goes on and on, and gives what writes one event of it.
func begin(w http.ResponseWriter) func(id, event string, document any) error {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	return func(id, event string, document any) error {
		data, err := json.Marshal(document)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n", id, event, data); err != nil {
			return err
		}
		return flush.Flush()
	}
}

func (s *stage) live(w http.ResponseWriter, r *http.Request) {
	write := begin(w)
	for {
		s.mu.Lock()
		n, next := s.network, s.pulse
		data, err := json.Marshal(n)
		s.mu.Unlock()
		if err != nil || write("", "network", json.RawMessage(data)) != nil {
			return
		}
		select {
		case <-next:
		case <-time.After(2 * time.Second):
		case <-r.Context().Done():
			return
		}
	}
}

func (s *stage) tap(w http.ResponseWriter, r *http.Request) {
	taps := make(chan api.TapCopy, 100)
	s.mu.Lock()
	s.taps = taps
	s.mu.Unlock()
	s.note(r, "")
	write := begin(w)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case c := <-taps:
			if r.URL.Query().Get("args") != "true" {
				c.Args = nil
			}
			if write("", "copy", c) != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// copied gives a copy to who taps now.
func (s *stage) copied(c api.TapCopy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps <- c
}

func (s *stage) happened(w http.ResponseWriter, r *http.Request) {
	s.note(r, r.Header.Get("Last-Event-ID"))
	write := begin(w)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case e := <-s.events:
			if write(e.ID, string(e.Kind), e) != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// stats are a quarter of an hour that ends with what the network says now of the route, or the list of instances of the instance.
func (s *stage) stats(w http.ResponseWriter, r *http.Request) {
	s.note(r, "")
	to := time.Now().Truncate(5 * time.Second)
	a := api.StatsAnswer{From: to.Add(-15 * time.Minute), To: to, Step: 5, Since: to.Add(-time.Hour)}
	q := r.URL.Query()
	parts := strings.Split(q.Get("route"), "→")
	switch {
	case q.Get("worker") != "":
		a.Series = s.ofInstance(a, q.Get("worker"), q.Get("instance"))
	case len(parts) == 3:
		a.Series = []api.Series{s.ofRoute(a, parts[0], parts[1], parts[2])}
	default:
		answer(w, http.StatusUnprocessableEntity, api.Problem{Detail: "route is no from→type→to"})
		return
	}
	answer(w, http.StatusOK, a)
}

func (s *stage) ofRoute(a api.StatsAnswer, from, typ, to string) api.Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	series := api.Series{From: from, Type: typ, To: to}
	i := slices.IndexFunc(s.network.Edges, func(e api.Edge) bool { return e.From == from && e.Type == typ && e.To == to })
	if i < 0 {
		return series
	}
	e := s.network.Edges[i]
	if e.LastError != "" {
		series.LastErrors = s.failures
	}
	stored := 0.0
	if e.Durable != nil {
		stored = float64(e.Durable.Pending + e.Durable.Unacked)
	}
	more := func(p *api.Point, lately float64) { p.Stored = uint64(stored * (0.25 + 0.75*lately)) }
	if e.Undelivered == 0 {
		series.Points = past(a.From, e.Flow, more)
	} else { // it was as any other until a minute ago
		series.Points = past(a.From, edge(from, typ, to, 239).Flow, more)[:168]
	}
	return series
}

func (s *stage) ofInstance(a api.StatsAnswer, worker, id string) []api.Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, _ := s.docs["/v1/instances"].(api.InstanceList)
	for _, i := range list.Instances {
		if i.Worker != worker || i.ID != id {
			continue
		}
		points := past(a.From, api.Flow{Rate: i.Rate, Errors: i.Errors, P50: 0.3 * i.P99, P95: 0.65 * i.P99, P99: i.P99}, func(p *api.Point, lately float64) {
			inFlight, queued := uint64(float64(i.InFlight)*(0.4+0.6*lately)), uint64(float64(i.Queued)*lately)
			p.InFlight, p.Queued = &inFlight, &queued
		})
		return []api.Series{{From: "*", Type: "*", To: worker, Instance: id, Points: points}}
	}
	return []api.Series{}
}

// past are the points of a quarter of an hour: what fails and what that holds up has come up lately, in the last five minutes.
func past(from time.Time, now api.Flow, more func(p *api.Point, lately float64)) (points []api.Point) {
	for i := range 180 {
		lately := min(1, max(0, float64(i-120)/30))
		wave := 1 + float64(i*7%11-5)/100
		p := api.Point{At: from.Add(time.Duration(i) * 5 * time.Second)}
		p.Handled = uint64(math.Round(now.Rate * 5 * wave))
		p.Failed = uint64(math.Round(now.Rate * 5 * wave * now.Errors * lately))
		if p.Handled > 0 {
			late := 1.0
			if now.Errors > 0 {
				late = 0.5 + 0.5*lately
			}
			p.P50, p.P95, p.P99 = now.P50*wave, now.P95*wave*late, now.P99*wave*late
		}
		more(&p, lately)
		points = append(points, p)
	}
	return points
}

func (s *stage) note(r *http.Request, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+body))
}

// wasAsked waits for a request that begins so.
func (s *stage) wasAsked(begin string) string {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		i := slices.IndexFunc(s.asked, func(a string) bool { return strings.HasPrefix(a, begin) })
		all := slices.Clone(s.asked)
		s.mu.Unlock()
		if i >= 0 {
			return all[i]
		}
		if time.Now().After(end) {
			s.t.Fatalf("nobody asked %s, but %q", begin, all)
		}
	}
}

func (s *stage) document(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if r.Method != http.MethodGet {
		_ = json.NewDecoder(r.Body).Decode(&body) // some have none
		s.note(r, string(body))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.mu.Lock()
	document, ok := s.docs[r.URL.Path]
	data, err := json.Marshal(document)
	s.mu.Unlock()
	if !ok || err != nil {
		answer(w, http.StatusNotFound, api.Problem{Status: http.StatusNotFound, Detail: "there is no such thing"})
		return
	}
	answer(w, http.StatusOK, json.RawMessage(data))
}

// history of a worker that no test has made one for is empty.
func (s *stage) history(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	history, ok := s.docs[r.URL.Path].(api.WorkerHistory)
	s.mu.Unlock()
	if !ok {
		history = api.WorkerHistory{Worker: r.PathValue("name"), Revisions: []api.WorkerRevision{}}
	}
	answer(w, http.StatusOK, history)
}

func (s *stage) listDead(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	list := api.DeadList{Letters: []api.DeadLetter{}, Total: uint64(len(s.dead))}
	for _, d := range s.dead {
		if (q.Get("worker") == "" || q.Get("worker") == d.Worker) && strings.Contains(d.Error, q.Get("error")) {
			list.Letters = append(list.Letters, d.DeadLetter)
		}
	}
	answer(w, http.StatusOK, list)
}

// letter is where a dead letter stands among them; -1 after it has answered that there is none.
func (s *stage) letter(w http.ResponseWriter, r *http.Request) int {
	sequence, _ := strconv.ParseUint(r.PathValue("sequence"), 10, 64)
	i := slices.IndexFunc(s.dead, func(d api.DeadDetail) bool { return d.Sequence == sequence })
	if i < 0 {
		answer(w, http.StatusNotFound, api.Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no dead letter %d", sequence)})
	}
	return i
}

func (s *stage) oneDead(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.letter(w, r); i >= 0 {
		answer(w, http.StatusOK, s.dead[i])
	}
}

func (s *stage) retryDead(w http.ResponseWriter, r *http.Request) {
	s.note(r, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.letter(w, r)
	if i < 0 {
		return
	}
	d := s.dead[i]
	if strings.Contains(d.Error, "paused") {
		answer(w, http.StatusConflict, api.Problem{Status: http.StatusConflict, Detail: "worker " + d.Worker + " is paused; the letter stays"})
		return
	}
	s.dead = slices.Delete(s.dead, i, i+1)
	answer(w, http.StatusOK, api.Retried{Sequence: d.Sequence, Route: d.Route(), Delivery: "durable"})
}

func (s *stage) editDead(w http.ResponseWriter, r *http.Request) {
	var edit api.DeadEdit
	if err := json.NewDecoder(r.Body).Decode(&edit); err != nil || edit.Args == nil {
		answer(w, http.StatusUnprocessableEntity, api.Problem{Detail: "no edit"})
		return
	}
	s.note(r, fmt.Sprint(edit.Type, *edit.Args))
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.letter(w, r); i >= 0 {
		d := &s.dead[i]
		was := d.Sequence
		d.Sequence += 1000
		d.Type, d.Message = edit.Type, append([]string{d.Message[0], edit.Type}, *edit.Args...)
		answer(w, http.StatusOK, api.DeadEdited{Sequence: d.Sequence, Was: was})
	}
}

func (s *stage) purgeDead(w http.ResponseWriter, r *http.Request) {
	s.note(r, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.letter(w, r); i >= 0 {
		s.dead = slices.Delete(s.dead, i, i+1)
		w.WriteHeader(http.StatusNoContent)
	}
}
