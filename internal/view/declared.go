package view

import (
	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

// anyType is the type of a default route.
const anyType = "*"

// declaration is a route of the table.
type declaration struct {
	key     Key
	durable bool
	paused  bool
}

// declared are all routes of a table.
func declared(t *damrey.Table) []declaration {
	var all []declaration
	for _, row := range t.Rows() {
		for _, c := range row.Registration.Commands {
			all = append(all, declaration{
				key:     Key{row.Registration.Name, c.Name, c.Worker},
				durable: c.Delivery == damrey.Durable, paused: c.Paused,
			})
		}
	}
	return all
}

// lookUp finds the route of the table along which messages of a key go; false when the table does not say so.
func (v *View) lookUp(key Key) (declaration, bool) {
	row := v.table.Row(key.From)
	if row == nil {
		return declaration{}, false
	}
	r := row.Route(key.Type)
	if r == nil || r.To != key.To {
		return declaration{}, false
	}
	return declaration{key: key, durable: r.Durable, paused: r.Paused}, true
}

// stands says that the table names a route itself.
func (v *View) stands(key Key) bool {
	if key.From == report.Other {
		return false
	}
	_, ok := v.lookUp(key)
	return ok && !v.viaDefault(key)
}

// viaDefault says that the table sends messages of a key along a default route.
func (v *View) viaDefault(key Key) bool {
	if _, ok := v.lookUp(key); !ok {
		return false
	}
	for _, c := range v.table.Row(key.From).Registration.Commands {
		if c.Name == key.Type {
			return false
		}
	}
	return true
}
