package damrey

import (
	"context"
	"time"
)

// awaitChange waits until changed is closed (nil), closed is (ErrClosed), ctx
// ends or the deadline comes, where the zero deadline never does.
func awaitChange(ctx context.Context, changed, closed <-chan struct{}, deadline moment) error {
	var over <-chan time.Time
	if deadline != 0 {
		timer := time.NewTimer(deadline.left())
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-changed:
		return nil
	case <-closed:
		return ErrClosed
	case <-over:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}
