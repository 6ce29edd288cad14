package damrey

import (
	"time"

	"github.com/nats-io/nats.go/micro"
)

// endpointBridge is the name of a bridge's endpoint in `nats micro info`.
const endpointBridge = "bridge"

// Endpoint is what service discovery tells of the bridge, in the service of who
// runs it: where it takes messages of programs without the library, how many
// came, how many could not be passed on, and how long passing on took.
func (b *Bridge) Endpoint() (micro.EndpointInfo, *micro.EndpointStats) {
	info := micro.EndpointInfo{Name: endpointBridge, Subject: OutSubject(b.cfg.Prefix, "*", "*"), QueueGroup: b.cfg.Prefix + "_bridge"}
	received, work := b.stats.received.Load(), time.Duration(b.work.Load())
	stats := &micro.EndpointStats{
		Name: info.Name, Subject: info.Subject, QueueGroup: info.QueueGroup,
		NumRequests: int(received), NumErrors: int(b.stats.failed.Load()),
		ProcessingTime: work, AverageProcessingTime: work / time.Duration(max(1, received)),
	}
	if last := b.lastError.Load(); last != nil {
		stats.LastError = *last
	}
	return info, stats
}
