package agentd

import (
	"os"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

// beats tells the fabric of this agent, under the id that `nats micro ls` shows.
func (a *Agent) beats(id string) *report.Sender {
	started := time.Now().UTC()
	return report.NewSender(a.member.Fabric.Prefix, func() report.Beat {
		return report.Beat{
			Worker: report.AgentWorker, Instance: id, Version: damrey.Version,
			Host: a.member.claim.Host, Name: a.member.Name, Agent: a.nc.ConnectedServerName(), PID: os.Getpid(),
			Started: started, State: report.Ready, Stale: a.Stale(), Out: a.bridge.Passed(),
		}
	}, a.publishBeat)
}

func (a *Agent) publishBeat(subject string, data []byte) error {
	if !a.nc.IsConnected() {
		return damrey.ErrNotConnected
	}
	err := a.nc.Publish(subject, data)
	if err != nil {
		a.cfg.Log.Warn().Err(err).Int("bytes", len(data)).Msg("a beat could not leave")
	}
	return err
}
