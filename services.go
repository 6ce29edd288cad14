package damrey

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"
)

// Version of the library, as `nats micro ls` shows it.
const Version = "0.1.0"

func newInstanceID() string { return nuid.Next() }

// services answers NATS's service discovery for one instance, so that stock
// tools list the fabric.
type services struct {
	w    *Instance
	nc   *nats.Conn
	subs []*nats.Subscription
	id   micro.ServiceIdentity
}

// answerServices subscribes $SRV.<verb>, $SRV.<verb>.<worker> and
// $SRV.<verb>.<worker>.<instance>.
func (w *Instance) answerServices(nc *nats.Conn) (*services, error) {
	s := &services{w: w, nc: nc}
	s.id = micro.ServiceIdentity{Name: w.cfg.Name, ID: w.id, Version: Version}
	for _, subject := range []string{
		micro.APIPrefix + ".*",
		micro.APIPrefix + ".*." + w.cfg.Name,
		micro.APIPrefix + ".*." + w.cfg.Name + "." + w.id,
	} {
		sub, err := nc.Subscribe(subject, s.answer)
		if err != nil {
			return s, err
		}
		s.subs = append(s.subs, sub)
	}
	return s, nil
}

func (s *services) stop() {
	for _, sub := range s.subs {
		// Fails only on a closed connection, where it is gone anyway.
		_ = sub.Unsubscribe()
	}
}

func (s *services) answer(m *nats.Msg) {
	if m.Reply == "" || !s.w.link.mayAnswer(m.Reply) {
		return
	}
	verb, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, micro.APIPrefix+"."), ".")
	var doc any
	switch verb {
	case micro.PingVerb.String():
		doc = micro.Ping{ServiceIdentity: s.identity(), Type: micro.PingResponseType}
	case micro.InfoVerb.String():
		doc = s.info()
	case micro.StatsVerb.String():
		doc = s.stats()
	default:
		return
	}
	data, err := json.Marshal(doc)
	if err == nil {
		err = s.nc.Publish(m.Reply, data)
	}
	if err != nil {
		s.w.log.warn("could not answer service discovery", nil)
	}
}

// identity carries what an operator asks first: where, which process, does it
// receive.
func (s *services) identity() micro.ServiceIdentity {
	id := s.id
	id.Metadata = map[string]string{
		"fabric":    s.w.opts.prefix,
		"agent":     s.nc.ConnectedServerName(),
		"host":      hostname(),
		"pid":       strconv.Itoa(os.Getpid()),
		"receiving": strconv.FormatBool(s.w.receives.Load()),
	}
	if v := s.w.view.Load(); v != nil && v.stale {
		id.Metadata["table"] = "stale"
	}
	if path := program(); path != "" {
		id.Metadata["program"] = path
	}
	return id
}

func (s *services) info() micro.Info {
	return micro.Info{
		ServiceIdentity: s.identity(), Type: micro.InfoResponseType,
		Description: "Damrey worker " + s.w.cfg.Name,
		Endpoints: []micro.EndpointInfo{{
			Name: s.w.cfg.Name, Subject: inboundSubject(s.w.opts.prefix, s.w.cfg.Name), QueueGroup: s.w.cfg.Name,
		}},
	}
}

func (s *services) stats() micro.Stats {
	st := s.w.Stats()
	errors, work, lastError := s.w.ins.sums()
	data, err := json.Marshal(st)
	if err != nil {
		data = nil
	}
	return micro.Stats{
		ServiceIdentity: s.identity(), Type: micro.StatsResponseType, Started: s.w.started,
		Endpoints: []*micro.EndpointStats{{
			Name: s.w.cfg.Name, Subject: inboundSubject(s.w.opts.prefix, s.w.cfg.Name), QueueGroup: s.w.cfg.Name,
			NumRequests: int(st.Handled), NumErrors: int(errors), LastError: lastError,
			ProcessingTime: work, AverageProcessingTime: work / time.Duration(max(1, st.Handled)), Data: data,
		}},
	}
}
