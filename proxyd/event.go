package proxyd

import (
	"context"
	"encoding/json"
	"time"
)

// What was done to an entry.
const (
	opAdd    = "add"
	opChange = "chg"
	opDelete = "del"
)

// routeChanged is the payload of <prefix>.event.route.changed.<worker>.
type routeChanged struct {
	Worker string `json:"worker"`
	// Revision that was stored; of a deletion, the one that was removed.
	Revision uint64    `json:"revision"`
	Op       string    `json:"op"`
	At       time.Time `json:"at"`
}

// streamDeleted is the payload of <prefix>.event.stream.deleted.<stream>.
type streamDeleted struct {
	Stream string `json:"stream"`
	// Messages that it held when it was last looked at, some seconds before as a rule.
	Messages uint64    `json:"messages"`
	What     string    `json:"what"` // they were
	At       time.Time `json:"at"`
}

// tell logs a change that was stored, and publishes it at best effort: the bucket is what others watch.
func (p *Proxy) tell(ctx context.Context, op, worker string, revision uint64) {
	log := p.cfg.Log.With().Str("op", op).Str("worker", worker).Uint64("revision", revision).Logger()
	log.Info().Str("by", callerOf(ctx).addr).Msg("route changed")

	event, err := json.Marshal(routeChanged{Worker: worker, Revision: revision, Op: op, At: time.Now().UTC()})
	if err == nil {
		err = p.store.nc.Publish(p.cfg.Prefix+".event.route.changed."+worker, event)
	}
	if err != nil {
		log.Warn().Err(err).Msg("the change is stored, but its event was not published")
	}
}
