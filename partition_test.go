package damrey

import (
	"fmt"
	"testing"

	"github.com/damrey/damrey/internal/bucket"
)

func TestShare_IsEvenAndMovesLittle(t *testing.T) {
	t.Parallel()
	var ids []string
	var before [bucket.Partitions]string
	for n := 1; n <= 20; n++ {
		ids = append(ids, fmt.Sprintf("instance-%d", n*7))
		owners := share(ids)
		count := map[string]int{}
		moved := 0
		for p, owner := range owners {
			count[owner]++
			if owner != before[p] {
				moved++
			}
		}
		most := (bucket.Partitions + n - 1) / n
		for id, has := range count {
			if has > most {
				t.Errorf("with %d instances %s has %d partitions, at most %d", n, id, has, most)
			}
		}
		if n > 1 && moved > bucket.Partitions/2+2 {
			t.Errorf("the %dth instance moved %d partitions", n, moved)
		}
		before = owners
	}
}

func TestPartitionOf_StaysWhereItIs(t *testing.T) {
	t.Parallel()
	// Messages that are stored would be overtaken by those that come.
	for key, want := range map[string]int{"": 5, "a": 12, "order-42": 4, "größe": 10} {
		if got := partitionOf(key); got != want {
			t.Errorf("partitionOf(%q) = %d, was %d", key, got, want)
		}
	}
}
