package proxyd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

func (r *rig) history(name string) (h api.WorkerHistory) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.must(200, "GET", "/v1/workers/"+name+"/history", "").body), &h); err != nil {
		r.t.Fatal(err)
	}
	return h
}

func TestHistory_TellsWhatEachRevisionChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "PUT", "/v1/workers/entry", `{"commands":[{"name":"add","worker":"add"}]}`)
	r.must(201, "PUT", "/v1/workers/other", `{}`)
	r.must(200, "PUT", "/v1/workers/entry", `{"mpu":1,"commands":[{"name":"add","worker":"add2"}]}`)
	r.must(200, "DELETE", "/v1/workers/entry", "")

	h := r.history("entry")
	var got []string
	for _, one := range h.Revisions {
		got = append(got, fmt.Sprint(one.Revision, " ", strings.Join(one.Changes, ", ")))
		if one.At.IsZero() || one.Deleted == (one.Registration != nil) {
			t.Errorf("%+v", one)
		}
	}
	want := "4 deleted; 3 mpu default → 1, route add: worker add → add2; 1 added, route add → add added"
	if h.Worker != "entry" || strings.Join(got, "; ") != want {
		t.Errorf("%s: %s", h.Worker, strings.Join(got, "; "))
	}

	// What was can be put back as it stands there.
	document, err := json.Marshal(h.Revisions[2].Registration)
	if err != nil {
		t.Fatal(err)
	}
	r.must(201, "PUT", "/v1/workers/entry", string(document))
	if now := r.history("entry").Revisions[0]; now.Registration.Commands[0].Worker != "add" {
		t.Errorf("%+v", now)
	}
}

func TestHistory_OfWhatIsDamagedUnknownOrLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	if p := r.must(404, "GET", "/v1/workers/nobody/history", "").problem(t); !strings.Contains(p.Detail, `"nobody" was never registered`) {
		t.Error(p.Detail)
	}
	r.must(422, "GET", "/v1/workers/a%2Eb/history", "")

	r.must(201, "PUT", "/v1/workers/entry", `{}`)
	if _, err := r.bucket("damrey_workers").Put(t.Context(), "entry", []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	r.must(200, "PUT", "/v1/workers/entry", `{"mpu":2}`)
	h := r.history("entry")
	if len(h.Revisions) != 3 || h.Revisions[1].Problem == "" || h.Revisions[1].Registration != nil || len(h.Revisions[0].Changes) != 0 {
		t.Errorf("%+v", h.Revisions)
	}

	for i := range 70 {
		r.must(200, "PUT", "/v1/workers/entry", fmt.Sprintf(`{"mpu":%d}`, i+3))
	}
	h = r.history("entry")
	oldest := h.Revisions[len(h.Revisions)-1]
	if len(h.Revisions) != 64 || len(oldest.Changes) != 0 || oldest.Registration == nil || h.Revisions[0].Changes[0] != "mpu 71 → 72" {
		t.Errorf("%d revisions, the oldest %+v, the newest %+v", len(h.Revisions), oldest, h.Revisions[0])
	}
}
