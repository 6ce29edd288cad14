// Package service answers NATS's service discovery, so that `nats micro` lists the fabric. nats.go's own services answer to
// any reply subject, into the routing table too; these answer to whom their config lets them.
package service

import (
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// Config of a service. All of it is needed, and called from several goroutines.
type Config struct {
	// Info at this moment; its identity, besides name and id, may change.
	Info func() micro.Info
	// Stats at this moment, without identity.
	Stats func() micro.Stats
	// MayAnswer says whether a reply subject may be answered to.
	MayAnswer func(reply string) bool
	// Failed takes why a question could not be answered.
	Failed func(error)
}

// Service answers until it is stopped.
type Service struct {
	nc   *nats.Conn
	cfg  Config
	subs []*nats.Subscription
}

// Answer $SRV.<verb>, $SRV.<verb>.<name> and $SRV.<verb>.<name>.<id>.
func Answer(nc *nats.Conn, name, id string, cfg Config) (*Service, error) {
	s := &Service{nc: nc, cfg: cfg}
	for _, whom := range []string{"", "." + name, "." + name + "." + id} {
		sub, err := nc.Subscribe(micro.APIPrefix+".*"+whom, s.answer)
		if err != nil {
			s.Stop()
			return nil, err
		}
		s.subs = append(s.subs, sub)
	}
	return s, nil
}

// Stop answering.
func (s *Service) Stop() {
	for _, sub := range s.subs {
		_ = sub.Unsubscribe() // fails only on a closed connection, where it is gone anyway
	}
}

func (s *Service) answer(m *nats.Msg) {
	verb, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, micro.APIPrefix+"."), ".")
	document := s.document(verb)
	if document == nil || !s.cfg.MayAnswer(m.Reply) {
		return
	}
	data, err := json.Marshal(document())
	if err == nil {
		err = s.nc.Publish(m.Reply, data)
	}
	if err != nil {
		s.cfg.Failed(err)
	}
}

// document that answers a verb; nil: none does.
func (s *Service) document(verb string) func() any {
	switch verb {
	case micro.PingVerb.String():
		return func() any {
			return micro.Ping{ServiceIdentity: s.cfg.Info().ServiceIdentity, Type: micro.PingResponseType}
		}
	case micro.InfoVerb.String():
		return func() any {
			info := s.cfg.Info()
			info.Type = micro.InfoResponseType
			return info
		}
	case micro.StatsVerb.String():
		return func() any {
			stats := s.cfg.Stats()
			stats.ServiceIdentity, stats.Type = s.cfg.Info().ServiceIdentity, micro.StatsResponseType
			return stats
		}
	default:
		return nil
	}
}
