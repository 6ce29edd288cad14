package broker

import (
	"strings"
	"time"
)

// obstacleAge is how long ago nats-server may have told of an obstacle that still counts. It tries again every second.
const obstacleAge = 10 * time.Second

// obstacle is what kept another server out of the cluster.
type obstacle struct {
	text string
	at   time.Time
}

// obstacles are what nats-server logs about a route that it gives up, and what to do.
var obstacles = []struct{ logged, text string }{
	{"Remote server has a duplicate name", "another server of the cluster has this one's --name; give each a name of its own"},
	{"Authorization Violation", "another server refuses this one: it has another user or password; give all the same --user and --password"},
	{"authentication error", "another server was refused: it has another user or password; give all the same --user and --password"},
	{"Rejecting connection, cluster name", "a server at the other end of a route is of another cluster; see --cluster and --routes there"},
}

// findObstacle looks for one in a line that nats-server logs about a route.
func findObstacle(line string) (obstacle, bool) {
	if !strings.Contains(line, " - rid:") {
		return obstacle{}, false
	}
	for _, o := range obstacles {
		if strings.Contains(line, o.logged) {
			return obstacle{text: o.text, at: time.Now()}, true
		}
	}
	return obstacle{}, false
}

// obstacle is the last one, while it is fresh; else empty.
func (s *serverLog) obstacle() string {
	last := s.inTheWay.Load()
	if last == nil || time.Since(last.at) > obstacleAge {
		return ""
	}
	return last.text
}
