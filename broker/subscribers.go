package broker

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Subscriber is a subscription to some of the subjects that were asked for, and the connection that has it.
type Subscriber struct {
	Subject string    // as it was subscribed
	Queue   string    // queue group; empty: none, so that it gets a copy of everything
	Name    string    // of the connection, as it calls itself; of a leaf node its server's, which of an agent is the agent's name
	Leaf    bool      // the connection is a leaf node: somebody behind it has the subscription
	Address string    // ip:port of the connection; empty when it is within this process
	Since   time.Time // when the connection was made; the subscription may be younger
}

// Subscribers lists who is connected to this server, in the account that clients have, and subscribes to some of the subjects
// of a pattern: those that are wider than it too. Those without a queue group come first. The list has at most limit of them,
// and more says how many are left out. Other servers of a cluster are not asked, and streams have no connection: JetStream
// lists those. ErrNotRunning before Ready, after Run, and while the server starts anew.
func (b *Broker) Subscribers(pattern string, limit int) (list []Subscriber, more int, err error) {
	srv := b.server()
	if srv == nil {
		return nil, 0, fmt.Errorf("%w: ask for subscribers after Ready and before Run returns", ErrNotRunning)
	}
	conns, err := srv.Connz(&server.ConnzOptions{Account: globalAccount, FilterSubject: pattern, SubscriptionsDetail: true, Limit: math.MaxInt})
	if err != nil {
		return nil, 0, fmt.Errorf("broker: subscribers of %s: %w", pattern, err)
	}
	leafs, err := leafNames(srv)
	if err != nil {
		return nil, 0, fmt.Errorf("broker: subscribers of %s: %w", pattern, err)
	}
	for _, c := range conns.Conns {
		list = append(list, subscribersOf(c, leafs, pattern)...)
	}
	slices.SortFunc(list, Subscriber.compare)
	shown := max(0, min(limit, len(list)))
	return list[:shown:shown], len(list) - shown, nil
}

// leafNames are those of the servers behind leaf nodes, by connection; Connz does not tell them (nats-server 2.15.2).
func leafNames(srv *server.Server) (map[uint64]string, error) {
	leafs, err := srv.Leafz(&server.LeafzOptions{Account: globalAccount})
	if err != nil {
		return nil, err
	}
	names := make(map[uint64]string, len(leafs.Leafs))
	for _, l := range leafs.Leafs {
		names[l.ID] = l.Name
	}
	return names, nil
}

func subscribersOf(c *server.ConnInfo, leafs map[uint64]string, pattern string) (all []Subscriber) {
	who := Subscriber{Name: c.Name, Since: c.Start}
	if name, ok := leafs[c.Cid]; ok {
		who.Name, who.Leaf = name, true
	}
	if c.Port != 0 {
		who.Address = net.JoinHostPort(c.IP, strconv.Itoa(c.Port))
	}
	for _, sub := range c.SubsDetail {
		if server.SubjectsCollide(pattern, sub.Subject) {
			who.Subject, who.Queue = sub.Subject, sub.Queue
			all = append(all, who)
		}
	}
	return all
}

func (s Subscriber) compare(other Subscriber) int {
	return cmp.Or(cmp.Compare(s.Queue, other.Queue), cmp.Compare(s.Subject, other.Subject), cmp.Compare(s.Name, other.Name), cmp.Compare(s.Address, other.Address))
}
