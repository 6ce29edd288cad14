package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// localTime is how long an agent has to answer on this machine.
const localTime = time.Second

// askAgent takes the row from the agent's copy when no table has ever been
// read from the bucket: a worker that is restarted while the broker is away
// becomes ready too.
func (w *Watcher) askAgent(ctx context.Context) {
	if w.cfg.Worker == "" || w.Table() != nil || ctx.Err() != nil || !w.nc.IsConnected() {
		return
	}
	t, err := w.localTable(ctx)
	switch {
	case err == nil:
		w.table.Store(t)
		w.cfg.Log.Warn().Msg("the broker is away; going on with the agent's copy of the routing table")
		w.changed(t)
	case errors.Is(err, nats.ErrNoResponders):
		// No agent here, or it has no table either: nothing to go on with.
	default:
		w.cfg.Log.Warn().Err(err).Msg("the agent's copy of the routing table cannot be read")
	}
}

func (w *Watcher) localTable(ctx context.Context) (*Table, error) {
	ctx, cancel := context.WithTimeout(ctx, localTime)
	defer cancel()
	m, err := w.nc.RequestWithContext(ctx, LocalRowSubject(w.cfg.Prefix, w.cfg.Worker), nil)
	if err != nil {
		return nil, err
	}
	var local LocalRow
	if err := json.Unmarshal(m.Data, &local); err != nil {
		return nil, err
	}
	t := &Table{rows: make(map[string]*Row)}
	if !local.Found {
		return t, nil
	}
	row, err := readRow(w.cfg.Prefix, w.cfg.Worker, local.Row, local.Revision)
	if err != nil {
		return nil, err
	}
	t.rows[w.cfg.Worker] = row
	return t, nil
}
