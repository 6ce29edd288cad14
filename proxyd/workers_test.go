package proxyd_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

var update = flag.Bool("update", false, "write the golden files")

func TestProxy_ReplacesOnlyTheRevisionThatWasSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	const path = "/v1/workers/entry"

	if got := r.must(201, "PUT", path, seed, "If-None-Match: *"); got.header.Get("ETag") != `"1"` {
		t.Fatalf("ETag %s", got.header.Get("ETag"))
	}
	got := r.must(200, "GET", path, "")
	if strings.TrimSpace(got.body) != seed || got.header.Get("ETag") != `"1"` {
		t.Errorf("%s with ETag %s", got.body, got.header.Get("ETag"))
	}
	if got := r.must(304, "GET", path, "", `If-None-Match: "1"`); got.body != "" || got.header.Get("ETag") != `"1"` {
		t.Errorf("304 with %q, ETag %s", got.body, got.header.Get("ETag"))
	}
	r.must(412, "PUT", path, seed, "If-None-Match: *")
	r.must(200, "PUT", path, seed, `If-Match: "1"`)
	p := r.must(412, "PUT", path, seed, `If-Match: "1"`).problem(t)
	if !strings.Contains(p.Detail, `revision "2", not "1"`) {
		t.Errorf("does not name both revisions: %s", p.Detail)
	}
	r.must(200, "PUT", path, seed, `If-Match: W/"2"`)
	r.must(200, "PUT", path, seed, `If-Match: 3`)
	r.must(200, "PUT", path, seed, `If-Match: "9", "4"`)
	r.must(200, "PUT", path, seed, `If-Match: *`)
	r.must(200, "PUT", path, `{}`)
	r.must(200, "GET", path, "", `If-None-Match: "6"`)
	r.must(412, "DELETE", path, "", `If-Match: "6"`)
	r.must(412, "PUT", path, seed, `If-Match: "5"`, `If-Match: "6"`)
	r.must(304, "GET", path, "", `If-None-Match: "6"`, `If-None-Match: , "7"`)
	r.must(200, "DELETE", path, "", `If-Match: "6"`, `If-Match: "7"`)
	r.must(412, "DELETE", path, "", `If-Match: *`)
	r.must(412, "PUT", path, seed, `If-Match: *`)
	r.must(412, "PUT", path, seed, `If-Match: "7"`)
	r.must(201, "PUT", path, seed)
}

func TestProxy_TakesBackWhatTheListGave(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "POST", "/worker/add", seed)
	var list struct{ Workers []json.RawMessage }
	if err := json.Unmarshal([]byte(r.must(200, "GET", "/v1/workers", "").body), &list); err != nil {
		t.Fatal(err)
	}
	if got := r.must(200, "PUT", "/v1/workers/entry", string(list.Workers[0])); strings.TrimSpace(got.body) != seed {
		t.Errorf("stored %s", got.body)
	}
}

func TestProxy_ListMatchesTheGoldenFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "POST", "/worker/add", seed)
	r.must(201, "PUT", "/v1/workers/add", `{"commands":[{"name":"*","worker":"square","batch":8},{"name":"x","worker":"y"}]}`)
	r.must(201, "PUT", "/v1/workers/Square_2", `{"mpu":1}`)
	got := regexp.MustCompile(`"updated":"[^"]+"`).ReplaceAllString(r.must(200, "GET", "/v1/workers", "").body, `"updated":"2026-01-02T03:04:05Z"`)
	const golden = "testdata/workers.json"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestProxy_OneOfManyWritersWinsEachRevision(t *testing.T) {
	t.Parallel()
	a := newRig(t, proxyd.Config{})
	b := startProxy(t, a.srv, proxyd.Config{})
	await(t, b.proxy.Ready())
	clients := []*api.Client{a.client(), b.client()}
	revision, err := clients[0].Add(t.Context(), damrey.Registration{Name: "entry"})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 10 {
		var mu sync.Mutex // guards won
		var won []uint64
		var wg sync.WaitGroup
		for writer := range 8 {
			wg.Go(func() {
				reg := damrey.Registration{Name: "entry", MPU: damrey.MPU(1 + writer)}
				next, err := clients[writer%2].Put(t.Context(), reg, api.Match(revision))
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					won = append(won, next)
				} else if status(err) != 412 {
					t.Errorf("writer %d: %v", writer, err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d of 8 writers won revision %d", round, len(won), revision)
		}
		revision = won[0]
	}
}

func TestProxy_ChangesWithoutConditionAllHappen(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	client := r.client()
	if _, err := client.Add(t.Context(), damrey.Registration{Name: "entry"}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for writer := range 8 {
		wg.Go(func() {
			if _, err := client.Change(t.Context(), damrey.Registration{Name: "entry", MPU: damrey.MPU(1 + writer)}); err != nil {
				t.Errorf("writer %d: %v", writer, err)
			}
		})
	}
	wg.Wait()
	if _, revision, err := client.Worker(t.Context(), "entry"); err != nil || revision != 9 {
		t.Errorf("revision %d, %v", revision, err)
	}
}

func TestProxy_RegistersAgainAfterADeletion(t *testing.T) {
	t.Parallel()
	client := newRig(t, proxyd.Config{}).client()
	for range 3 {
		revision, err := client.Add(t.Context(), damrey.Registration{Name: "entry"})
		if err != nil {
			t.Fatal(err)
		}
		stale := revision + 1
		if err := client.Delete(t.Context(), "entry", &stale); status(err) != 412 {
			t.Errorf("deleted at revision %d: %v", stale, err)
		}
		if err := client.Delete(t.Context(), "entry", &revision); err != nil {
			t.Fatal(err)
		}
		if err := client.Delete(t.Context(), "entry", nil); status(err) != 404 {
			t.Errorf("deleted twice: %v", err)
		}
	}
	if list, err := client.Workers(t.Context()); err != nil || len(list.Workers) != 0 || list.Workers == nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestProxy_StoresTenThousandCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	reg := damrey.Registration{Name: "entry"}
	for i := range 10_000 {
		reg.Commands = append(reg.Commands, damrey.Command{Name: fmt.Sprintf("type-%d", i), Worker: "target", MPU: 1})
	}
	body, err := json.Marshal(reg)
	if err != nil {
		t.Fatal(err)
	}
	r.must(201, "POST", "/worker/add", string(body)) // without the client's time limit, for a machine that is busy
	got, _, err := r.client().Worker(t.Context(), "entry")
	if err != nil || len(got.Commands) != 10_000 || got.Commands[9_999].Name != "type-9999" {
		t.Errorf("%d commands, %v", len(got.Commands), err)
	}
}

func TestProxy_ListsAThousandWorkers(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	kv := r.bucket("damrey_workers")
	for i := range 1000 {
		name := fmt.Sprintf("w%03d", i)
		if _, err := kv.PutString(t.Context(), name, `{"name":"`+name+`"}`); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.client().Workers(t.Context())
	if err != nil || len(list.Workers) != 1000 || list.Workers[999].Name != "w999" || list.Workers[999].Revision != 1000 {
		t.Errorf("%d workers, %v", len(list.Workers), err)
	}
}

func TestProxy_ListsBesideADamagedEntry(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	client, kv := r.client(), r.bucket("damrey_workers")
	r.must(201, "POST", "/worker/add", seed)
	for name, value := range map[string]string{"broken": "{", "foreign": `{"name":"entry"}`, "later": `{"name":"later","color":"red"}`} {
		if _, err := kv.PutString(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
	}
	list, err := client.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Workers) != 2 || list.Workers[1].Name != "later" || string(list.Workers[1].Extra["color"]) != `"red"` {
		t.Errorf("workers: %+v", list.Workers)
	}
	if len(list.Damaged) != 2 || list.Damaged[0].Name != "broken" || !strings.Contains(list.Damaged[1].Problem, `"foreign"`) {
		t.Errorf("damaged: %+v", list.Damaged)
	}
	if got := r.must(200, "GET", "/workers/get", "").header.Get("Damrey-Damaged"); got != "broken, foreign" {
		t.Errorf("Damrey-Damaged: %s", got)
	}
	if p := r.must(500, "GET", "/v1/workers/broken", "").problem(t); !strings.Contains(p.Detail, `"broken"`) {
		t.Error(p.Detail)
	}
	r.must(200, "PUT", "/v1/workers/broken", `{}`)
	r.must(200, "DELETE", "/v1/workers/foreign", "")
	if list, err := client.Workers(t.Context()); err != nil || len(list.Workers) != 3 || list.Damaged != nil {
		t.Errorf("after mending: %+v, %v", list, err)
	}
}

// Whatever somebody stored beside the proxy can be removed through it.
func TestProxy_RemovesWhatIsNoWorkersName(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	client := r.client()
	names := []string{"c.d", "a=b", "damrey-x", "x/y", "ü$", "dmg"} // the KV client refuses the last but one
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	store := func() {
		for _, name := range names {
			if _, err := js.Publish(t.Context(), "$KV.damrey_workers."+name, []byte("garbage")); err != nil {
				t.Fatal(err)
			}
		}
	}
	store()
	list, err := client.Workers(t.Context())
	if err != nil || len(list.Damaged) != len(names) {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, name := range names {
		stale := uint64(99)
		if err := client.Delete(t.Context(), name, &stale); status(err) != 412 {
			t.Errorf("%s at a revision that it is not at: %v", name, err)
		}
		if err := client.Delete(t.Context(), name, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := 422
		if damrey.CheckWorkerName(name) == nil {
			want = 404
		}
		if err := client.Delete(t.Context(), name, nil); status(err) != want {
			t.Errorf("%s again: %v, want %d", name, err, want)
		}
	}
	store()
	for _, name := range names {
		r.must(200, "POST", "/worker/del", `{"name":"`+name+`"}`)
	}
	for _, name := range []string{"*", "%3E", "a..b", "c.*"} { // nothing can be stored there, and * must not mean all
		r.must(422, "DELETE", "/v1/workers/"+name, "")
	}
	if list, err := client.Workers(t.Context()); err != nil || list.Damaged != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestProxy_SaysHowToGetRidOfADamagedEntry(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	if _, err := r.bucket("damrey_workers").PutString(t.Context(), "dmg", "garbage"); err != nil {
		t.Fatal(err)
	}
	for _, got := range []reply{r.must(500, "GET", "/v1/workers/dmg", ""), r.must(409, "POST", "/worker/add", `{"name":"dmg"}`)} {
		p := got.problem(t)
		for _, text := range []string{"is damaged", "damrey worker del dmg", "damrey worker chg -f FILE", "DELETE /v1/workers/dmg"} {
			if !strings.Contains(p.Detail, text) {
				t.Errorf("says nothing of %q: %s", text, p.Detail)
			}
		}
		if p.Type != api.TypeDamaged {
			t.Errorf("type %s", p.Type)
		}
	}
	r.must(200, "POST", "/worker/chg", `{"name":"dmg"}`)
	p := r.must(412, "PUT", "/v1/workers/gone", `{}`, `If-Match: "1"`).problem(t)
	if p.Type != api.TypeAbsent || !strings.Contains(p.Detail, "damrey worker add") {
		t.Errorf("%+v", p)
	}
}

// A row that a newer version wrote can be changed, also back to what it was; only what it never had is refused.
func TestProxy_ChangesRowsOfANewerVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	const newer = `{"mpu":"9","name":"newer","agent":"","commands":[{"name":"a","worker":"b","shadow":{"to":"c"}}],"weight":7}`
	if _, err := r.bucket("damrey_workers").PutString(t.Context(), "newer", newer); err != nil {
		t.Fatal(err)
	}
	const path = "/v1/workers/newer"
	changed := strings.Replace(newer, `"agent":""`, `"agent":"","paused":true`, 1)
	if got := r.must(200, "PUT", path, changed, `If-Match: "1"`); strings.TrimSpace(got.body) != changed {
		t.Errorf("stored %s", got.body)
	}
	r.must(200, "POST", "/worker/chg", `{"name":"newer","weight":7}`)
	r.must(200, "PUT", path, newer) // as it was, though the entry has no such route now
	for document, location := range map[string]string{
		`{"name":"newer","weight":8}`:                 "body.weight",
		`{"name":"newer","weight":7,"wieght":7}`:      "body.wieght",
		`{"name":"newer","weight":7,"commands":[{}]}`: "body.commands[0].name",
		`{"name":"other","weight":7}`:                 "body.weight",
	} {
		p := r.must(422, "POST", "/worker/chg", document).problem(t)
		if len(p.Errors) != 1 || p.Errors[0].Location != location {
			t.Errorf("%s: %+v", document, p)
		}
	}
	r.must(200, "DELETE", path, "")
	r.must(201, "POST", "/worker/add", newer)
	if got := r.must(200, "GET", path, ""); strings.TrimSpace(got.body) != newer {
		t.Errorf("%s", got.body)
	}
}
