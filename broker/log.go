package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// expected are warnings of nats-server about what we do on purpose: a JetStream domain for the clients of a leaf, and a
// password that this process got in plain text anyway.
var expected = []string{"The option `default_js_domain`", "Plaintext passwords detected"}

// serverLog takes nats-server's log. Lines of one kind are limited (logLimit), the banner is for debugging, and what
// nats-server calls fatal is remembered, because it goes on halfway after it.
type serverLog struct {
	log     zerolog.Logger
	running atomic.Bool   // the banner is over
	died    chan struct{} // closed by the first fatal line
	unable  chan error    // of one place: a file could not be written
	once    sync.Once     // closes died

	inTheWay atomic.Pointer[obstacle] // of another server of the cluster, the last one

	mu    sync.Mutex
	why   error    // guarded by mu: the first fatal line
	limit logLimit // guarded by mu
}

func newServerLog(log zerolog.Logger) *serverLog {
	return &serverLog{log: log, died: make(chan struct{}), unable: make(chan error, 1), limit: logLimit{}}
}

func (s *serverLog) Noticef(format string, v ...any) {
	if !s.running.Load() {
		s.log.Debug().Msgf(format, v...)
		return
	}
	s.write(zerolog.InfoLevel, format, v)
}

func (s *serverLog) Warnf(format string, v ...any) {
	for _, text := range expected {
		if strings.HasPrefix(format, text) {
			s.log.Debug().Msgf(format, v...)
			return
		}
	}
	s.write(zerolog.WarnLevel, format, v)
}

func (s *serverLog) Errorf(format string, v ...any) {
	if o, ok := findObstacle(fmt.Sprintf(format, v...)); ok {
		s.inTheWay.Store(&o)
	}
	s.write(zerolog.ErrorLevel, format, v)
}

func (s *serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	s.mu.Lock()
	if s.why == nil {
		s.why = errors.New(text)
	}
	s.mu.Unlock()
	s.once.Do(func() { close(s.died) })
	s.log.Error().Msg(text)
}

func (s *serverLog) Debugf(format string, v ...any) { s.log.Debug().Msgf(format, v...) }
func (s *serverLog) Tracef(format string, v ...any) { s.log.Trace().Msgf(format, v...) }

func (s *serverLog) debug() bool { return s.log.Debug().Enabled() }
func (s *serverLog) trace() bool { return s.log.Trace().Enabled() }

// started ends the banner.
func (s *serverLog) started() { s.running.Store(true) }

// fatal is the first fatal line, else nil.
func (s *serverLog) fatal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// flush tells what was left out and had no later line to tell it.
func (s *serverLog) flush() {
	s.mu.Lock()
	n := s.limit.total()
	s.mu.Unlock()
	if n > 0 {
		s.log.Warn().Int("suppressed", n).Msg("repeated lines were left out")
	}
}

func (s *serverLog) write(level zerolog.Level, format string, v []any) {
	s.lookForTrouble(v)
	s.mu.Lock()
	ok, dropped := s.limit.pass(kind(level, format), time.Now())
	s.mu.Unlock()
	if !ok {
		return
	}
	event := s.log.WithLevel(level)
	if dropped > 0 {
		event = event.Int("suppressed", dropped)
	}
	event.Msgf(format, v...)
}

// lookForTrouble looks for a file that could not be written among what is logged: nats-server tells nobody else.
func (s *serverLog) lookForTrouble(v []any) {
	for _, value := range v {
		if err, ok := value.(error); ok && passes(err) {
			select {
			case s.unable <- err:
			default: // it is known
			}
		}
	}
}

// kind is the format without what nats-server puts before it to name a connection: "10.1.2.3:55 - lid:7 - Text %s".
func kind(level zerolog.Level, format string) string {
	if at := strings.LastIndex(format, " - "); at >= 0 {
		format = format[at:]
	}
	return level.String() + format
}
