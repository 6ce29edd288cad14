package damrey

import (
	"math/rand/v2"
	"time"
)

// jitter spreads d between half and one and a half of it, so that many that
// began together do not go on together.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}
