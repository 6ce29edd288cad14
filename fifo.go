package damrey

// fifo is a queue in a ring that grows by doubling.
type fifo[T any] struct {
	items []T // length is a power of two, or zero
	head  int
	n     int
}

const fifoStart = 64

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) front() T { return q.items[q.head] }

// at gives the one with i before it.
func (q *fifo[T]) at(i int) T { return q.items[(q.head+i)&(len(q.items)-1)] }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.items) {
		q.grow()
	}
	q.items[(q.head+q.n)&(len(q.items)-1)] = v
	q.n++
}

func (q *fifo[T]) pop() T {
	var none T
	v := q.items[q.head]
	q.items[q.head] = none
	q.head = (q.head + 1) & (len(q.items) - 1)
	q.n--
	return v
}

func (q *fifo[T]) grow() {
	bigger := make([]T, max(fifoStart, 2*len(q.items)))
	k := copy(bigger, q.items[q.head:])
	copy(bigger[k:], q.items[:q.head])
	q.items, q.head = bigger, 0
}
