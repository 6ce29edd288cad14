package proxyd_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

func TestDead_AnEditedLetterKeepsItsHistory(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("*", "w"))
	r.bury(message("order", "stock"))
	was, err := r.api.DeadLetter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	done, err := r.api.EditDead(t.Context(), 1, api.DeadEdit{Type: "buy", Args: &[]string{"a b", ""}})
	if err != nil || done != (api.DeadEdited{Sequence: 2, Was: 1}) {
		t.Fatalf("%+v, %v", done, err)
	}
	now, err := r.api.DeadLetter(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q", now.Message); got != `["REQUEST" "buy" "a b" ""]` || now.Route() != "src→buy→w" {
		t.Errorf("%s along %s", got, now.Route())
	}
	if now.ID != was.ID || now.Error != was.Error || now.Instance != was.Instance || now.Failures != was.Failures {
		t.Errorf("its history changed: %+v\nbefore: %+v", now, was)
	}
	if now.Edited.IsZero() || !was.Edited.IsZero() || now.Headers[damrey.HeaderDeadReplaces][0] != "1" ||
		now.Headers[damrey.HeaderLineage][0] != "edit.1."+was.ID {
		t.Errorf("nothing says that it was edited: %+v", now)
	}
	// What is not given stays, and it can be edited again and sent.
	if done, err = r.api.EditDead(t.Context(), 2, api.DeadEdit{Type: "order"}); err != nil || done.Sequence != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := r.list(api.DeadFilter{}); sequences(got) != "3" || strings.Join(got.Letters[0].Message, "|") != "REQUEST|order|a b|" {
		t.Fatalf("%+v", got)
	}
	if _, err := r.api.RetryDead(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if r.stored("DAMREY_DEAD") != 0 || r.stored("DAMREY_JOBS_w") != 1 {
		t.Errorf("%d letters, %d jobs", r.stored("DAMREY_DEAD"), r.stored("DAMREY_JOBS_w"))
	}
}

func TestDead_RefusesEditsThatAreNoMessage(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.write("damrey.dead.w.x.src", `["REQUEST","x"]`)
	r.write("damrey.dead.w.x.src", `no message`)
	r.write("damrey.dead.odd", `["REQUEST","x"]`)
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"nothing":     {"/v1/dead/1", `{}`, 422, "nothing to change"},
		"no body":     {"/v1/dead/1", ``, 400, `send {"type":"add"`},
		"a type":      {"/v1/dead/1", `{"type":"a b"}`, 422, `character ' ' at position 2`},
		"a field":     {"/v1/dead/1", `{"kind":"a"}`, 422, "kind"},
		"numbers":     {"/v1/dead/1", `{"args":[1]}`, 422, "args"},
		"a payload":   {"/v1/dead/2", `{"type":"y"}`, 409, "its payload is no message; give its arguments too"},
		"its subject": {"/v1/dead/3", `{"type":"y"}`, 409, "names no worker and sender"},
		"too large":   {"/v1/dead/1", `{"args":["` + strings.Repeat("x", 1<<20) + `"]}`, 413, ""},
		"none":        {"/v1/dead/9", `{"type":"y"}`, 404, "there is no dead letter 9"},
	} {
		if got := r.do("PATCH", c.path, c.body); got.status != c.status || !strings.Contains(got.problem(t).Detail+fmt.Sprint(got.problem(t).Errors), c.says) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := sequences(r.list(api.DeadFilter{})); got != "1 2 3" {
		t.Errorf("left are %s", got)
	}
	if _, err := r.api.EditDead(t.Context(), 2, api.DeadEdit{Args: &[]string{"1"}}); err != nil {
		t.Error("a letter that is no message is not mended:", err)
	}
}

func TestDead_EditedFromManyTerminalsIsOneLetter(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	other := startProxy(t, r.srv, proxyd.Config{})
	await(t, other.proxy.Ready())
	clients := []*api.Client{r.api, other.client()}
	for range 10 {
		r.write("damrey.dead.w.x.src", `["REQUEST","x"]`)
	}
	for sequence := uint64(1); sequence <= 10; sequence++ {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := map[string]bool{}
		for terminal := range 6 {
			wg.Go(func() {
				arg := fmt.Sprintf("%d of %d", terminal, sequence)
				_, err := clients[terminal%2].EditDead(t.Context(), sequence, api.DeadEdit{Args: &[]string{arg}})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won[arg] = true
				} else if s := status(err); s != http.StatusNotFound && s != http.StatusConflict {
					t.Errorf("terminal %d: %v", terminal, err)
				}
			})
		}
		wg.Wait()
		if len(won) > 1 {
			t.Errorf("letter %d: the edits %v were all taken", sequence, won)
		}
	}
	list := r.list(api.DeadFilter{})
	seen := map[string]bool{}
	for _, l := range list.Letters {
		_, of, _ := strings.Cut(l.Message[len(l.Message)-1], " of ")
		if len(l.Message) != 3 || seen[of] {
			t.Errorf("letter %d, %q, is there twice, or unedited", l.Sequence, l.Message)
		}
		seen[of] = true
	}
	if len(seen) != 10 {
		t.Errorf("of 10 letters %d are there", len(seen))
	}
}

// A proxy that ends between storing and removing leaves two; the next one removes the one that was replaced.
func TestDead_AnEditThatWasInterruptedIsFinished(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	for range 2 {
		r.write("damrey.dead.w.x.src", `["REQUEST","x"]`)
	}
	edited := &nats.Msg{Subject: "damrey.dead.w.x.src", Data: []byte(`["REQUEST","x","1"]`), Header: nats.Header{damrey.HeaderDeadReplaces: {"1"}}}
	stranger := &nats.Msg{Subject: "damrey.dead.w.x.src", Data: []byte(`["REQUEST","x","1"]`),
		Header: nats.Header{damrey.HeaderDeadReplaces: {"2"}, damrey.HeaderOriginalID: {"of another stream"}}}
	for _, m := range []*nats.Msg{edited, stranger} {
		if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	startProxy(t, r.srv, proxyd.Config{})
	eventually(t, "the replaced letter is removed", func() bool { return sequences(r.list(api.DeadFilter{})) == "2 3 4" })
}
