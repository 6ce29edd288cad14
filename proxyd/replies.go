package proxyd

import (
	"sync"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey/internal/inbox"
)

// replies are the subjects that the proxy answers to.
type replies struct {
	inboxes inbox.Prefixes
	said    sync.Once
	log     zerolog.Logger
}

// mayAnswer: only to inboxes, see [inbox.Prefixes].
func (r *replies) mayAnswer(reply string) bool {
	if reply == "" {
		return false
	}
	if r.inboxes.Has(reply) {
		return true
	}
	r.said.Do(func() {
		r.log.Warn().Str("reply", reply).Msg("a question with a reply subject that is no inbox, or over 1,024 bytes, is not answered, nor will further ones be; if its client has an inbox prefix of its own, allow it with --reply-prefix")
	})
	return false
}
