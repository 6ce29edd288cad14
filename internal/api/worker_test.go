package api_test

import (
	"encoding/json"
	"testing"

	"github.com/damrey/damrey/internal/api"
)

func TestWorker_KeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	const doc = `{"mpu":"7","name":"entry","agent":"","commands":[],"color":"red","revision":3,"updated":"2026-01-02T03:04:05Z"}`
	var w api.Worker
	if err := json.Unmarshal([]byte(doc), &w); err != nil {
		t.Fatal(err)
	}
	if w.Name != "entry" || w.MPU != 7 || w.Revision != 3 || w.Updated.Year() != 2026 || len(w.Extra) != 1 {
		t.Errorf("%+v", w)
	}
	got, err := json.Marshal(w)
	if err != nil || string(got) != doc {
		t.Errorf("%s, %v", got, err)
	}
	if len(w.Extra) != 1 {
		t.Errorf("writing it changed it: %v", w.Extra)
	}
}

func TestWorker_NamesTheFieldThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{`{"name":"a","revision":-1}`, `{"name":"a","updated":"yesterday"}`, `{"name":7}`} {
		var w api.Worker
		says(t, json.Unmarshal([]byte(doc), &w), ":")
	}
}
