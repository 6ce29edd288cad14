package proxyd

import (
	"context"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
)

// mine says whether this proxy tells. While a broker that is alone cannot store anything, nobody can take the turn over,
// and that is just when an alarm is needed.
func (a *alarms) mine() bool {
	return a.turn.mine() || a.alone && a.machine != nil && a.store.trouble() != nil
}

// takeOver goes on with what the proxy before has stored.
func (a *alarms) takeOver(ctx context.Context) error {
	records, _, err := a.state.read(ctx)
	if err != nil {
		a.fail(err)
		return err
	}
	entries, damaged := parseEntries(records)
	if len(damaged) > 0 {
		a.store.log.Error().Strs("keys", damaged).Msg("alarms that were stored cannot be read; those that are still true fire again")
	}
	a.machine, a.stored = alarm.NewMachine(entries), make(map[string]string, len(entries))
	for _, r := range records {
		if id, err := agentOf(r.key); err == nil {
			a.stored[id] = string(r.value)
		}
	}
	a.watch(entries)
	return nil
}

// watch lets webhooks run. What the proxy before has told may not have reached them, so each is told what fires again; those
// that are yet to be told come with the look.
func (a *alarms) watch(entries []alarm.Entry) {
	told := make([]api.Alarm, 0, len(entries))
	for _, e := range entries {
		if e.Told {
			told = append(told, e.Alarm)
		}
	}
	alarm.Sort(told)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watching = true
	a.hooks.set(a.now.webhooks, a.now.firing(told))
}

// handOver leaves the alarms to the proxy whose turn it is. What still waits for webhooks goes: that one tells them what fires,
// and what comes late from here could contradict it.
func (a *alarms) handOver() {
	if a.machine == nil {
		return
	}
	a.machine = nil
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watching = false
	a.hooks.set(nil, nil)
}

// tells says whether this proxy is the one that tells, and whether it has been seen yet which one is.
func (a *alarms) tells() (mine, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.watching, !a.listed.IsZero()
}
