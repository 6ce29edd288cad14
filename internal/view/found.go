package view

import "fmt"

// found are the pairs of the routes of a beat, in their order, nil for those that its instance had not told of. Its room is used
// for every beat: what is looked up for each of the routes of each of a thousand instances is looked up once.
type found struct {
	instance *instance // nil: it is new
	at       int       // of its pairs: as a rule the next route is the next of them
	pass     uint64    // of the routes in or out of one beat
	pairs    []*pair
	fresh    map[Key]bool
}

// begin begins with the routes along which messages come in.
func (f *found) begin(i *instance) {
	f.instance, f.at, f.pairs = i, 0, f.pairs[:0]
	f.outs()
}

// outs goes on with the routes along which messages go out.
func (f *found) outs() {
	f.pass++
	clear(f.fresh)
}

// next finds the pair of the next route. A route that is told twice is an error, and so is a new one that cannot be.
func (f *found) next(k Key) error {
	p := f.find(k)
	f.pairs = append(f.pairs, p)
	twice := false
	switch {
	case p != nil:
		twice, p.pass = p.pass == f.pass, f.pass
	case f.fresh[k]:
		twice = true
	default:
		if err := checkKey(k); err != nil {
			return fmt.Errorf("a beat with a wrong route: %w", err)
		}
		if f.fresh == nil {
			f.fresh = make(map[Key]bool)
		}
		f.fresh[k] = true
	}
	if twice {
		return fmt.Errorf("a beat with %s twice", k)
	}
	return nil
}

func (f *found) find(k Key) *pair {
	i := f.instance
	if i == nil {
		return nil
	}
	if f.at < len(i.order) && i.order[f.at].key == k {
		f.at++
		return i.order[f.at-1]
	}
	return i.pairs[k]
}
