package agentd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/damrey/damrey"
)

// savedTable is a routing table on disk.
type savedTable struct {
	// Prefix of the fabric that it is of.
	Prefix string `json:"prefix"`
	// Created is when the bucket behind it was made.
	Created time.Time `json:"created"`
	// Saved is when it was written, for people.
	Saved time.Time  `json:"saved"`
	Rows  []savedRow `json:"rows"`
}

type savedRow struct {
	Revision     uint64          `json:"revision"`
	Registration json.RawMessage `json:"registration"`
}

func (s *state) saveTable(file, prefix string, t *damrey.Table) error {
	doc := savedTable{Prefix: prefix, Created: t.Created, Saved: time.Now().UTC(), Rows: []savedRow{}}
	for _, row := range t.Rows() {
		data, err := json.Marshal(row.Registration)
		if err != nil {
			return fmt.Errorf("agentd: row %s: %w", row.Registration.Name, err)
		}
		doc.Rows = append(doc.Rows, savedRow{Revision: row.Revision, Registration: data})
	}
	return s.writeJSON(file, doc)
}

// loadTable is nil when there is none of this fabric.
func (s *state) loadTable(prefix string) (*damrey.Table, error) {
	var doc savedTable
	err := s.readJSON(tableFile, &doc)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errBroken):
		return nil, nil
	case err != nil:
		return nil, dirError(s.dir, err)
	case doc.Prefix != prefix:
		s.log.Warn().Str("table_of", doc.Prefix).Str("fabric", prefix).Msg("the table on disk is another fabric's; going on without it")
		return nil, nil
	}
	regs := make([]damrey.Registration, 0, len(doc.Rows))
	revisions := make(map[string]uint64, len(doc.Rows))
	for i, row := range doc.Rows {
		reg, err := row.registration()
		if err != nil {
			s.log.Error().Err(err).Str("file", s.path(tableFile)).Int("row", i).Msg("a row of the table on disk cannot be read; going on without it")
			continue
		}
		regs = append(regs, reg)
		revisions[reg.Name] = row.Revision
	}
	t := damrey.NewTable(prefix, regs, revisions)
	t.Created = doc.Created
	return t, nil
}

// registration is read leniently: what a newer version wrote is kept and ignored.
func (r savedRow) registration() (damrey.Registration, error) {
	var reg damrey.Registration
	if err := json.Unmarshal(r.Registration, &reg); err != nil {
		return reg, err
	}
	return reg, reg.Validate()
}
