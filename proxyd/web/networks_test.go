package web_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/damrey/damrey/internal/api"
)

func node(name string, rate float64) api.Node {
	return api.Node{
		Name: name, Registered: true, MPU: 100, Health: api.HealthOK, Ready: 2, Instances: 2, InFlight: 3, Rate: rate,
		P50: 2.1, P95: 6.4, P99: 11.9,
	}
}

func edge(from, kind, to string, rate float64) api.Edge {
	e := api.Edge{From: from, Type: kind, To: to, Declared: true, Observed: true, Delivery: "direct", Health: api.HealthOK}
	e.Rate, e.P50, e.P95, e.P99, e.Wait, e.Work = rate, 2.1, 6.4, 11.9, 0.3, 2.4
	e.Handled = uint64(rate * 15)
	return e
}

// failing makes a share of the messages of an edge fail.
func failing(e *api.Edge, share float64) {
	e.Errors, e.Failed = share, uint64(math.Round(share*float64(e.Handled)))
	e.Health, e.Why = api.HealthDegraded, fmt.Sprintf("%.0f %% of the messages fail", 100*share)
}

// agree makes nodes say what their edges and instances say together.
func agree(n *api.Network, instances []api.Instance) {
	for i := range n.Nodes {
		d := &n.Nodes[i]
		var rate, failed float64
		var pending uint64
		for _, e := range n.Edges {
			if e.To != d.Name {
				continue
			}
			rate, failed = rate+e.Rate, failed+e.Rate*e.Errors
			if e.Durable != nil {
				pending += e.Durable.Pending
			}
		}
		d.Rate, d.Errors, d.Pending = rate, failed/max(rate, 1), pending
		d.Ready, d.Instances, d.InFlight, d.Queued = 0, 0, 0, 0
		for _, one := range instances {
			if one.Worker == d.Name && one.State == "ready" {
				d.Ready, d.Instances, d.InFlight, d.Queued = d.Ready+1, d.Instances+1, d.InFlight+one.InFlight, d.Queued+one.Queued
			}
		}
	}
}

// stored makes an edge durable, with so much of its room used.
func stored(e api.Edge, fill float64) api.Edge {
	e.Delivery = "durable"
	e.Durable = &api.Backlog{Stored: uint64(fill * 10000), Limit: 10000, Fill: fill, OldestAge: fill * 10000 / (1.3*e.Rate + 1)}
	inHand(&e, 1)
	return e
}

// inHand says how many of the stored messages are in an instance's hand.
func inHand(e *api.Edge, n uint64) {
	e.Durable.Unacked = min(n, e.Durable.Stored)
	e.Durable.Pending = e.Durable.Stored - e.Durable.Unacked
}

// fewWorkers is a shop: five workers, one cycle, one route in each of the states that are drawn differently.
func fewWorkers() api.Network {
	now := time.Now()
	n := api.Network{At: now, Since: now.Add(-time.Hour), Window: 15}
	n.Nodes = []api.Node{node("entry", 0), node("add", 0), node("square", 0), node("bank", 0), node("mail", 0)}
	n.Edges = []api.Edge{
		edge("entry", "add", "add", 240), edge("add", "square", "square", 239),
		stored(edge("square", "pay", "bank", 61), 0.72), stored(edge("bank", "receipt", "mail", 12), 0.05),
		edge("mail", "bounced", "entry", 0.4), edge("entry", "audit", "mail", 0),
		edge("square", "log", "mail", 3),
	}
	bank := &n.Edges[2]
	failing(bank, bankFails)
	bank.P50, bank.P95, bank.P99, bank.Wait, bank.Work = 620, 1400, 2100, 200, 460
	inHand(bank, bankMPU+bankQueue)
	bank.Durable.Dead = uint64(len(someLetters()))
	bank.LastError = "card declined by issuer 4711: try again later"
	d := &n.Nodes[3]
	d.Health, d.Why, d.Alarms, n.Firing = bank.Health, bank.Why, 1, 1
	d.MPU, d.P50, d.P95, d.P99 = bankMPU, bank.P50, bank.P95, bank.P99
	n.Edges[5].Observed, n.Edges[5].Health = false, api.HealthIdle
	n.Edges[6].Declared = false
	agree(&n, someInstances().Instances)
	return n
}

// Its bank is slow: it has as many messages in hand as it may have, and some of them wait. A share of them fails.
const (
	bankFails = 0.08
	bankMPU   = 28
	bankQueue = 12
)

// kill takes all instances of a worker away: nothing is handled there any more, and nothing comes from there but what is stored.
func kill(n *api.Network, name string) {
	for i := range n.Edges {
		e := &n.Edges[i]
		switch {
		case e.To == name:
			e.Flow = api.Flow{Undelivered: 412}
			e.Health, e.Why = api.HealthFailing, "nobody took 412 messages in the last 15 s"
		case e.From == name && e.Durable == nil:
			e.Flow, e.Health = api.Flow{}, api.HealthIdle
		}
	}
	agree(n, killed(someInstances(), name).Instances)
	for i := range n.Nodes {
		if d := &n.Nodes[i]; d.Name == name {
			d.Health, d.Why, d.Alarms = api.HealthFailing, "routes lead to it, and it has no instance any more", d.Alarms+1
			d.P50, d.P95, d.P99 = 0, 0, 0
		}
	}
	n.Firing++
}

// killed makes the instances of a worker lost.
func killed(list api.InstanceList, name string) api.InstanceList {
	for i := range list.Instances {
		if one := &list.Instances[i]; one.Worker == name {
			lose(one)
		}
	}
	return list
}

// manyWorkers are two hundred in layers, as grown networks are: names in groups, routes mostly onward, a few back.
func manyWorkers() api.Network {
	random := rand.New(rand.NewPCG(1, 2))
	groups := []string{"web", "auth", "order", "stock", "price", "pay", "ship", "mail", "audit", "report"}
	var names [][]string
	n := api.Network{At: time.Now(), Since: time.Now().Add(-time.Hour), Window: 15}
	for _, g := range groups {
		var tier []string
		for i := range 20 {
			name := fmt.Sprintf("%s-%02d", g, i)
			tier = append(tier, name)
			d := node(name, float64(random.IntN(900)))
			switch random.IntN(20) {
			case 0:
				d.Health, d.Ready, d.Why = api.HealthFailing, 0, "registered, but no instance is there"
			case 1, 2:
				d.Health, d.Why = api.HealthDegraded, "2.4 % of the messages fail"
			case 3, 4, 5:
				d.Health, d.Rate = api.HealthIdle, 0
			}
			n.Nodes = append(n.Nodes, d)
		}
		names = append(names, tier)
	}
	for g, tier := range names {
		for i, from := range tier {
			if g+1 < len(names) {
				n.Edges = append(n.Edges, edge(from, "next", names[g+1][(i+random.IntN(3))%20], float64(random.IntN(900))))
			}
			if random.IntN(4) == 0 && g+2 < len(names) {
				n.Edges = append(n.Edges, stored(edge(from, "later", names[g+2][i], float64(random.IntN(90))), random.Float64()))
			}
			if random.IntN(30) == 0 && g > 1 {
				n.Edges = append(n.Edges, edge(from, "undo", names[g-2][i], float64(random.IntN(9))))
			}
		}
	}
	return n
}

// stir gives every node and edge new numbers.
func stir(n *api.Network, random *rand.Rand) {
	for i := range n.Nodes {
		n.Nodes[i].Rate = float64(random.IntN(900))
		n.Nodes[i].InFlight = random.IntN(100)
	}
	for i := range n.Edges {
		n.Edges[i].Rate = float64(random.IntN(900))
		if d := n.Edges[i].Durable; d != nil {
			d.Fill = random.Float64()
		}
	}
}
