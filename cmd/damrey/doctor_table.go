package main

import (
	"context"
	"fmt"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/shell"
)

// checkAgents looks for agents whose lease ran out.
func checkAgents(ctx context.Context, d *doctor) (found []finding, err error) {
	list, err := d.client.Agents(ctx)
	if err != nil {
		return nil, err
	}
	for _, agent := range list.Agents {
		if !agent.Held {
			found = append(found, finding{Severity: warning, Where: "agent " + agent.Name,
				What: fmt.Sprintf("its lease ran out: last renewed %s ago by process %d on %s", ageText(time.Now(), agent.Renewed), agent.PID, agent.Host),
				Do:   "damrey agent -a " + shell.Word(agent.Name), Hint: "on " + agent.Host})
		}
	}
	for _, broken := range list.Damaged {
		found = append(found, finding{Severity: warning, Where: "agent " + broken.Name, What: "its claim is damaged: " + broken.Problem, Do: "damrey agent -a " + shell.Word(broken.Name), Hint: "there; it claims its name anew"})
	}
	return found, nil
}

// checkTable looks at the routing table by itself.
func checkTable(_ context.Context, d *doctor) (found []finding, err error) {
	for _, broken := range d.table.Damaged {
		found = append(found, finding{Severity: failure, Where: "worker " + broken.Name, What: "its entry is damaged: " + broken.Problem,
			Do: "damrey worker del " + shell.Word(broken.Name), Hint: replaceEntry(broken.Name)})
	}
	registered := make(map[string]bool)
	for _, w := range d.table.Workers {
		registered[w.Name] = true
	}
	for _, w := range d.table.Workers {
		if w.Paused {
			found = append(found, finding{Severity: note, Where: "worker " + w.Name, What: "it is paused", Do: "damrey worker resume " + w.Name})
		}
		for _, c := range w.Commands {
			where := w.Name + "→" + c.Name + "→" + c.Worker
			if !registered[c.Worker] {
				found = append(found, finding{Severity: failure, Where: where, What: fmt.Sprintf("it leads to the worker %s, which is not registered, so that its instances take nothing", c.Worker),
					Do: "damrey worker add " + c.Worker})
			}
			if c.Paused {
				found = append(found, finding{Severity: note, Where: where, What: "it is paused", Do: "damrey route resume " + w.Name + " " + shell.Word(c.Name)})
			}
		}
	}
	return found, nil
}

// checkWorkers looks for workers that nobody runs. One without the library is seen by its subscription in the worker's queue
// group; whoever else listens to its messages does not stand for it.
func checkWorkers(ctx context.Context, d *doctor) (found []finding, err error) {
	pings, err := d.present(ctx, "")
	if err != nil {
		return nil, err
	}
	there, receives := make(map[string]int), make(map[string]bool)
	for _, p := range pings {
		there[p.Name]++
		receives[p.Name] = receives[p.Name] || p.Metadata["receiving"] != "false"
	}
	led := make(map[string]bool)
	for _, w := range d.table.Workers {
		for _, c := range w.Commands {
			led[c.Worker] = true
		}
	}
	for _, w := range d.table.Workers {
		if receives[w.Name] {
			continue
		}
		f, err := d.unattended(ctx, w.Registration, led[w.Name], there[w.Name])
		if err != nil {
			return found, err
		}
		found = append(found, f...)
	}
	return found, nil
}

// unattended is a worker without instances that receive.
func (d *doctor) unattended(ctx context.Context, w damrey.Registration, led bool, there int) ([]finding, error) {
	a, err := d.audience(ctx)
	if err != nil || a.workers[w.Name] {
		return nil, err
	}
	f := finding{Severity: failure, Where: "worker " + w.Name, Do: "damrey worker run " + w.Name + " -- COMMAND"}
	if !a.known {
		f.Hint = "unless it is a program without the library, which is not seen here"
	}
	switch {
	case there > 0 && w.Agent != "":
		f.What = fmt.Sprintf("%d of its instances are there and none receives: it is pinned to the agent %s", there, w.Agent)
		f.Do = "damrey worker chg " + w.Name + " --agent ''"
	case there > 0:
		f.What, f.Do = fmt.Sprintf("%d of its instances are there and none receives", there), "nats micro info "+w.Name
		f.Hint = "and look at the log of those"
	case !led:
		f.Severity, f.What = note, "it has no instance; no route leads to it"
	default:
		f.What = "routes lead to it, and it has no instance"
	}
	return []finding{f}, nil
}
