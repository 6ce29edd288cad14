package proxyd

import (
	"os"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

// beats tells the fabric of this proxy, under the id that `nats micro ls` shows.
func (p *Proxy) beats(id string) *report.Sender {
	started := time.Now().UTC()
	host := hostname()
	return report.NewSender(p.cfg.Prefix, func() report.Beat {
		b := report.Beat{
			Worker: report.ProxyWorker, Instance: id, Version: p.cfg.Version,
			Host: host, Name: p.cfg.Node, URL: p.URL(), Agent: p.store.nc.ConnectedServerName(), PID: os.Getpid(),
			Started: started, State: report.Ready,
		}
		if p.cfg.Bridge != nil {
			b.Out = p.cfg.Bridge.Passed()
		}
		return b
	}, p.publishBeat)
}

// hostname is empty when the system does not say.
func hostname() string {
	name, _ := os.Hostname()
	return name
}

func (p *Proxy) publishBeat(subject string, data []byte) error {
	if !p.store.nc.IsConnected() {
		return damrey.ErrNotConnected
	}
	err := p.store.nc.Publish(subject, data)
	if err != nil {
		p.cfg.Log.Warn().Err(err).Int("bytes", len(data)).Msg("a beat could not leave")
	}
	return err
}
