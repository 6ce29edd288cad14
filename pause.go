package damrey

import "fmt"

// Pausing holds messages back without taking anybody out of the table. A
// worker's row says that it is paused, and so each of its instances knows: it
// stays subscribed, refuses what comes on direct routes, and asks the broker
// for no stored messages, which wait there. A command says that its route is
// paused, and so the sender knows, which refuses by itself.
//
// Messages of a durable route that is paused are stored, in the same stream, where
// no instance takes them, and the proxy moves them when it is resumed. What was
// stored before is still handled: it shares a consumer with all other routes to
// the worker, and a consumer does not go back to what a narrower filter has
// passed over (TestTrap_AWiderFilterDoesNotGoBack). With a key, what is sent after
// the pause waits until all of that was moved (heldBack).

// paused says whether the worker itself is. A nil view is not.
func (v *view) paused() bool { return v != nil && v.row.paused() }

func (row *Row) paused() bool { return row != nil && row.Registration.Paused }

// refusal is what a sender is told on a paused direct route, nil on any other.
func (r *Route) refusal() *fabricError {
	if !r.Paused || r.Durable {
		return nil
	}
	command := r.command
	if command == anyType {
		command = "'*'" // as a shell takes it
	}
	return &fabricError{ErrPaused, fmt.Sprintf("the route is paused; resume it with `damrey route resume %s %s`", r.From, command), r.String()}
}

// refusalOf is a route's refusal, or that of a paused worker at its end: who
// knows all rows can say so of a send too, which an instance would not answer.
func refusalOf(table *Table, r *Route) *fabricError {
	if !r.Durable && table.Row(r.To).paused() {
		return workerPaused(r.To, r.String())
	}
	return r.refusal()
}

// Refusal says what is paused on the way of a message along r, and how to resume
// it. Empty: nothing is, or the message is stored and waits.
func (t *Table) Refusal(r *Route) string {
	if fe := refusalOf(t, r); fe != nil {
		return fe.text
	}
	return ""
}

// workerPaused is what a paused worker's instances answer.
func workerPaused(worker, at string) *fabricError {
	return &fabricError{ErrPaused, fmt.Sprintf("worker %q is paused; resume it with `damrey worker resume %s`", worker, worker), at}
}

// refusePaused answers what came on a direct route while the worker is paused.
func (w *Instance) refusePaused(all []inbound) {
	for i := range all {
		w.stats.paused.Add(1)
		w.refuse(&all[i], workerPaused(w.cfg.Name, all[i].where()))
	}
}

func (w *Instance) sayPaused(paused bool) {
	if paused {
		w.log.Info().Str("resume", "damrey worker resume "+w.cfg.Name).Msg("the worker is paused; stored messages wait, others are refused")
		return
	}
	w.log.Info().Msg("the worker is resumed")
}
