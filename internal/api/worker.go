package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/damrey/damrey"
)

// Worker is one entry of the routing table as the list shows it: the fields of its registration, and where it stands in
// the bucket. The last two are read-only: a document that carries them may be put back as it is.
type Worker struct {
	damrey.Registration
	// Revision of the entry; the same number is its ETag.
	Revision uint64 `json:"revision" readOnly:"true" doc:"Revision of the entry in the bucket; also its ETag"`
	// Updated is when the broker stored this revision.
	Updated time.Time `json:"updated" readOnly:"true" doc:"When the broker stored this revision"`
}

// The names of the read-only fields.
const (
	FieldRevision = "revision"
	FieldUpdated  = "updated"
)

// MarshalJSON writes the registration's fields, then revision and updated.
func (w Worker) MarshalJSON() ([]byte, error) {
	extra := maps.Clone(w.Extra)
	if extra == nil {
		extra = make(map[string]json.RawMessage, 2)
	}
	var err error
	if extra[FieldRevision], err = json.Marshal(w.Revision); err != nil {
		return nil, err
	}
	if extra[FieldUpdated], err = json.Marshal(w.Updated); err != nil {
		return nil, err
	}
	reg := w.Registration
	reg.Extra = extra
	return reg.MarshalJSON()
}

// UnmarshalJSON reads what MarshalJSON writes; fields that this version does not know stay in Extra.
func (w *Worker) UnmarshalJSON(data []byte) error {
	var got Worker
	if err := got.Registration.UnmarshalJSON(data); err != nil {
		return err
	}
	for name, into := range map[string]any{FieldRevision: &got.Revision, FieldUpdated: &got.Updated} {
		if raw, ok := got.Extra[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			delete(got.Extra, name)
		}
	}
	if len(got.Extra) == 0 {
		got.Extra = nil
	}
	*w = got
	return nil
}

// WorkerList is GET /v1/workers.
type WorkerList struct {
	// Workers, by name.
	Workers []Worker `json:"workers" nullable:"false" doc:"The entries of the routing table, by name"`
	// Damaged are entries that the proxy could not read. They take part in nothing until they are put again or deleted.
	Damaged []Damaged `json:"damaged,omitempty" doc:"Entries that cannot be read; put them again or delete them"`
}

// Damaged is an entry of the bucket that is not a registration.
type Damaged struct {
	// Name is the entry's key.
	Name string `json:"name" doc:"Name of the entry"`
	// Problem says what is wrong with it.
	Problem string `json:"problem" doc:"What is wrong with it"`
}
