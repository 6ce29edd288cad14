package proxyd

import "testing"

// What is counted by subject stays bounded: the table bounds it, but for default routes and paused ones.
func TestDurable_Apart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		durable
		subjects uint64
		want     bool
	}{
		"one route":                 {durable{routes: 1}, 5, false},
		"two":                       {durable{routes: 2}, 5, true},
		"two, and many ids":         {durable{routes: 2}, mostSubjects + 1, true},
		"a default route":           {durable{routes: 1, any: true}, 5, true},
		"a default route, too much": {durable{routes: 1, any: true}, mostSubjects + 1, false},
		"a paused route":            {durable{routes: 1, held: true}, 5, true},
		"a paused route, too much":  {durable{routes: 2, held: true}, mostSubjects + 1, false},
	} {
		if c.apart(c.subjects) != c.want {
			t.Error(name)
		}
	}
}
