package main

import "iter"

// tally groups letters by a text, in the order in which the texts first came.
type tally struct {
	texts []string
	by    map[string][]uint64
}

func (t *tally) add(text string, sequence uint64) {
	if t.by == nil {
		t.by = make(map[string][]uint64)
	}
	if t.by[text] == nil {
		t.texts = append(t.texts, text)
	}
	t.by[text] = append(t.by[text], sequence)
}

func (t *tally) all() iter.Seq2[string, []uint64] {
	return func(yield func(string, []uint64) bool) {
		for _, text := range t.texts {
			if !yield(text, t.by[text]) {
				return
			}
		}
	}
}
