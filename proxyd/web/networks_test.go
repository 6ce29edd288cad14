package web_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/damrey/damrey/internal/api"
)

func node(name string, rate float64) api.Node {
	return api.Node{Name: name, Registered: true, MPU: 100, Health: api.HealthOK, Ready: 2, Instances: 2, InFlight: 3, Rate: rate}
}

func edge(from, kind, to string, rate float64) api.Edge {
	e := api.Edge{From: from, Type: kind, To: to, Declared: true, Observed: true, Delivery: "direct", Health: api.HealthOK}
	e.Rate, e.P50, e.P95, e.P99, e.Wait, e.Work = rate, 2.1, 6.4, 11.9, 0.3, 2.4
	e.Handled = uint64(rate * 15)
	return e
}

// stored makes an edge durable, with so much of its room used.
func stored(e api.Edge, fill float64) api.Edge {
	e.Delivery = "durable"
	e.Durable = &api.Backlog{Stored: uint64(fill * 10000), Limit: 10000, Fill: fill, Pending: uint64(fill * 9900), Unacked: 40, OldestAge: 12.5, Dead: 3}
	return e
}

// fewWorkers is a shop: five workers, one cycle, one route in each of the states that are drawn differently.
func fewWorkers() api.Network {
	now := time.Now()
	n := api.Network{At: now, Since: now.Add(-time.Hour), Window: 15}
	n.Nodes = []api.Node{node("entry", 240), node("add", 240), node("square", 239), node("bank", 61), node("mail", 12)}
	n.Nodes[3].Health, n.Nodes[3].Why, n.Nodes[3].Queued = api.HealthDegraded, "3.1 % of the messages fail", 12
	n.Edges = []api.Edge{
		edge("entry", "add", "add", 240), edge("add", "square", "square", 239),
		stored(edge("square", "pay", "bank", 61), 0.72), stored(edge("bank", "receipt", "mail", 12), 0.18),
		edge("mail", "bounced", "entry", 0.4), edge("entry", "audit", "mail", 0),
		edge("square", "log", "mail", 3),
	}
	bank := &n.Edges[2]
	bank.Health, bank.Why, bank.Errors, bank.Failed = api.HealthDegraded, "3.1 % of the messages fail", 0.031, 28
	bank.LastError = "card declined by issuer 4711: try again later"
	n.Edges[5].Observed, n.Edges[5].Health = false, api.HealthIdle
	n.Edges[6].Declared = false
	return n
}

// kill takes all instances of a worker away.
func kill(n *api.Network, name string) {
	for i := range n.Nodes {
		if d := &n.Nodes[i]; d.Name == name {
			d.Health, d.Why, d.Ready, d.Instances, d.Rate, d.Alarms = api.HealthFailing, "registered, but no instance is there", 0, 0, 0, 1
		}
	}
	for i := range n.Edges {
		if e := &n.Edges[i]; e.To == name {
			e.Health, e.Why, e.Errors, e.Undelivered = api.HealthFailing, "nobody takes the messages", 1, 412
		}
	}
	n.Firing++
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
