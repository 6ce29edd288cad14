package damrey

import (
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey/internal/service"
)

// Version of the library, as `nats micro ls` shows it.
const Version = "0.1.0"

func newInstanceID() string { return nuid.Next() }

// services tells NATS's service discovery of one instance, so that stock tools
// list the fabric.
type services struct {
	w  *Instance
	nc *nats.Conn
}

func (w *Instance) answerServices(nc *nats.Conn) (*service.Service, error) {
	s := &services{w: w, nc: nc}
	return service.Answer(nc, w.cfg.Name, w.id, service.Config{
		Info: s.info, Stats: s.stats, MayAnswer: w.link.mayAnswer,
		Failed: func(error) { w.log.warn("could not answer service discovery", nil) },
	})
}

// identity carries what an operator asks first: where, which process, does it
// receive.
func (s *services) identity() micro.ServiceIdentity {
	id := micro.ServiceIdentity{Name: s.w.cfg.Name, ID: s.w.id, Version: Version, Metadata: map[string]string{
		"fabric":    s.w.opts.prefix,
		"agent":     s.nc.ConnectedServerName(),
		"host":      hostname(),
		"pid":       strconv.Itoa(os.Getpid()),
		"receiving": strconv.FormatBool(s.w.receives.Load()),
	}}
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
		ServiceIdentity: s.identity(),
		Description:     "Damrey worker " + s.w.cfg.Name,
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
		Started: s.w.started,
		Endpoints: []*micro.EndpointStats{{
			Name: s.w.cfg.Name, Subject: inboundSubject(s.w.opts.prefix, s.w.cfg.Name), QueueGroup: s.w.cfg.Name,
			NumRequests: int(st.Handled), NumErrors: int(errors), LastError: lastError,
			ProcessingTime: work, AverageProcessingTime: work / time.Duration(max(1, st.Handled)), Data: data,
		}},
	}
}
