package damrey

import (
	"slices"
	"strings"
	"time"
)

// Route is one edge of the fabric: messages of Type that From sends go to To.
type Route struct {
	From, Type, To string
	// Cost is what one message takes of the receiving instance's mpu.
	Cost int
	// Batch is how many waiting sends may share one NATS message; 1 is off.
	Batch int
	// Durable says that messages are stored at the broker until they were
	// handled. Attempts and Backoff are of failures then; Window is how long an
	// application's id is remembered.
	Durable  bool
	Attempts int
	Backoff  time.Duration
	Window   time.Duration
	// Key names the argument that tells messages apart that may run at a time.
	Key Key
	// Paused says that messages are refused with [ErrPaused] at From, or stored
	// where they wait.
	Paused   bool
	revision uint64 // of the row
	subject  string
	command  string // whose row it is: Type, or * for the default route
	counts   *outPlace
	batch    *batchPlace
}

// String is how a route is written everywhere: from→type→to.
func (r Route) String() string { return where(r.From, r.Type, r.To) }

// Subject is where messages of the route are published, or stored. With a key
// their partition follows, and while it is paused what tells them apart.
func (r *Route) Subject() string { return r.subject }

func (r *Route) subjectOf(prefix string) string {
	switch {
	case r.Durable && r.Paused:
		return heldSubject(prefix, r.To, r.Type, r.From)
	case r.Durable:
		return jobSubject(prefix, r.To, r.Type, r.From)
	}
	return messageSubject(prefix, r.To, r.Type, r.From)
}

func where(from, typ, to string) string { return from + "→" + typ + "→" + to }

// Row is one worker's part of the table, made for looking up: a route costs a
// map access whatever the table's size. Immutable.
type Row struct {
	// Registration as it stands in the table.
	Registration Registration
	// Revision of the entry in the bucket.
	Revision uint64
	prefix   string
	routes   map[string]*Route
	fallback *Route
}

func newRow(prefix string, reg Registration, revision uint64) *Row {
	row := &Row{Registration: reg, Revision: revision, prefix: prefix, routes: make(map[string]*Route, len(reg.Commands))}
	for _, c := range reg.Commands {
		r := &Route{
			From: reg.Name, Type: c.Name, To: c.Worker,
			Cost: c.Cost(), Batch: max(1, int(c.Batch)),
			Durable: c.Delivery == Durable, Attempts: c.attempts(), Backoff: c.backoff(), Window: c.window(),
			Key:    c.Key,
			Paused: c.Paused, revision: revision, command: c.Name, counts: new(outPlace), batch: new(batchPlace),
		}
		r.subject = r.subjectOf(prefix)
		if c.Name == anyType {
			row.fallback = r
		} else {
			row.routes[c.Name] = r
		}
	}
	return row
}

// Route says where this worker's messages of a type go; nil when the table
// does not say.
func (row *Row) Route(typ string) *Route {
	if r := row.routes[typ]; r != nil {
		return r
	}
	if row.fallback == nil || CheckName(typ) != nil {
		return nil
	}
	r := *row.fallback
	r.Type, r.counts, r.batch = typ, nil, nil
	r.subject = r.subjectOf(row.prefix)
	return &r
}

// Table is the whole routing table at one moment. Immutable.
type Table struct {
	// Created is when the bucket behind it was made. Zero for a table that
	// never came from a bucket.
	Created time.Time
	rows    map[string]*Row
}

// Row of a worker; nil when it is not registered.
func (t *Table) Row(worker string) *Row {
	if t == nil {
		return nil
	}
	return t.rows[worker]
}

// Rows are all rows, by name.
func (t *Table) Rows() []*Row {
	if t == nil {
		return nil
	}
	rows := make([]*Row, 0, len(t.rows))
	for _, r := range t.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *Row) int { return strings.Compare(a.Registration.Name, b.Registration.Name) })
	return rows
}

// NewTable makes a table from registrations that are kept somewhere else than
// in the bucket, such as an agent's copy on disk. revisions are by worker name.
func NewTable(prefix string, regs []Registration, revisions map[string]uint64) *Table {
	t := &Table{rows: make(map[string]*Row, len(regs))}
	for _, reg := range regs {
		t.rows[reg.Name] = newRow(prefix, reg, revisions[reg.Name])
	}
	return t
}
