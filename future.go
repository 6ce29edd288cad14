package damrey

import "context"

// Future is a send under way. Its methods are safe for concurrent use.
type Future struct {
	done chan struct{}
	err  error // set before done is closed
}

func newFuture() *Future { return &Future{done: make(chan struct{})} }

func (f *Future) end(err error) {
	f.err = err
	close(f.done)
}

// Done is closed when it is known what became of the send.
func (f *Future) Done() <-chan struct{} { return f.done }

// Err is nil until Done is closed and when all went well, else what
// [Instance.SendAsync] says.
func (f *Future) Err() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// Wait waits for Done and returns Err, or the context's error when that ends
// first; the send goes on then.
func (f *Future) Wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
