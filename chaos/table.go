package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

const (
	changeEvery = 2 * time.Second
	changeTime  = 5 * time.Second
)

// table is the routing table of the run, changed all the time through the REST interface of any node.
type table struct {
	clients []*api.Client // each begins at another node
	log     zerolog.Logger
	group   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	changes int
	refused int
	gone    []window // in which there was no echo
}

func newTable(s *site, log zerolog.Logger) (*table, error) {
	t := &table{log: log}
	for i := range s.nodes {
		var order string
		for j := range s.nodes {
			if j > 0 {
				order += ","
			}
			order += at(ownHost, s.nodes[(i+j)%len(s.nodes)].rest)
		}
		c, err := api.New(order)
		if err != nil {
			return nil, err
		}
		t.clients = append(t.clients, c)
	}
	return t, nil
}

func (t *table) close() {
	for _, c := range t.clients {
		c.Close()
	}
}

// durable are the commands to a stage, whose messages are stored: some in order by their first argument, some in none.
func durable(stage string) []damrey.Command {
	keyed := damrey.Command{Name: stage, Worker: stage, Delivery: damrey.Durable, Key: damrey.KeyArg(0), Backoff: damrey.Duration(backoff)}
	free := keyed
	free.Name, free.Key = stage+loose, 0
	return []damrey.Command{keyed, free}
}

// backoff after the first failure of a message.
const backoff = 200 * time.Millisecond

// loose marks what is in no order: in types and keys.
const loose = "-loose"

func isLoose(key string) bool { return strings.HasSuffix(key, loose) }

// typeOf is the type under which a message of a key goes to a stage.
func typeOf(stage, key string) string {
	if isLoose(key) {
		return stage + loose
	}
	return stage
}

// row of a worker as it must be for the run.
func row(name string) damrey.Registration {
	reg := damrey.Registration{Name: name}
	if name == "entry" {
		reg.Commands = append(durable(line[0]), damrey.Command{Name: echo, Worker: echo})
	}
	if next := nextStage(name); next != "" {
		reg.Commands = durable(next)
	}
	return reg
}

// rows are all of them.
func rows() []string { return append([]string{"entry", echo}, line...) }

// fill stores all rows, as often as it takes.
func (t *table) fill(ctx context.Context) error {
	for _, name := range rows() {
		if err := t.put(ctx, t.clients[0], row(name)); err != nil {
			return err
		}
	}
	return nil
}

// put stores a row, as often as it takes.
func (t *table) put(ctx context.Context, c *api.Client, reg damrey.Registration) error {
	for {
		err := t.try(ctx, func(ctx context.Context) error { _, err := c.Put(ctx, reg, ""); return err })
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("register %s: %w", reg.Name, err)
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// try is one call.
func (t *table) try(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	err := call(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.refused++
		return err
	}
	t.changes++
	return nil
}

// start changes the table until ctx ends. What was deleted then is put back before patience ends.
func (t *table) start(ctx, patience context.Context, random *rand.Rand) {
	t.group.Go(func() {
		for ctx.Err() == nil {
			t.change(ctx, patience, random)
			sleep(ctx, changeEvery/2+time.Duration(random.Int64N(int64(changeEvery))))
		}
	})
}

func (t *table) wait() { t.group.Wait() }

// change one row. The random numbers it takes do not depend on how it goes.
func (t *table) change(ctx, patience context.Context, random *rand.Rand) {
	client := t.clients[random.IntN(len(t.clients))]
	what, which, mpu := random.IntN(8), random.IntN(len(line)), random.IntN(100)
	gone := time.Duration(200+random.IntN(1300)) * time.Millisecond
	switch what {
	case 0:
		t.deleteAndAdd(ctx, patience, client, echo, gone)
	case 1:
		t.deleteAndAdd(ctx, patience, client, line[which], gone)
	case 2, 3, 4: // a command more for the sender, or none; and a worker out of the line of what is in no order, or back in it
		reg := row("entry")
		if mpu%3 == 0 {
			reg.Commands[1].Worker = line[1]
		}
		if mpu%2 == 0 {
			reg.Commands = append(reg.Commands, damrey.Command{Name: fmt.Sprintf("extra-%d", mpu), Worker: echo})
		}
		t.put1(ctx, client, reg)
	default:
		reg := row(line[which])
		reg.MPU = damrey.MPU(20 + mpu)
		t.put1(ctx, client, reg)
	}
}

// put1 stores a row if it can be done now.
func (t *table) put1(ctx context.Context, c *api.Client, reg damrey.Registration) {
	err := t.try(ctx, func(ctx context.Context) error { _, err := c.Change(ctx, reg); return err })
	if err != nil && ctx.Err() == nil {
		t.log.Debug().Err(err).Str("worker", reg.Name).Msg("not changed")
	}
}

// deleteAndAdd takes a worker out of the table for a while; what is stored for it stays.
func (t *table) deleteAndAdd(ctx, patience context.Context, c *api.Client, name string, gone time.Duration) {
	began := time.Now()
	err := t.try(ctx, func(ctx context.Context) error { return c.DeleteKeepingJobs(ctx, name) })
	refusal, ok := errors.AsType[*api.Error](err)
	if ok && refusal.Status != http.StatusNotFound && refusal.Status < 500 {
		t.log.Error().Err(err).Str("worker", name).Msg("not deleted")
	}
	sleep(ctx, gone) // also after an error: it may be deleted
	if err := t.put(patience, c, row(name)); err != nil {
		t.log.Error().Err(err).Msg("not put back")
	}
	if name == echo {
		t.mu.Lock()
		t.gone = append(t.gone, window{began, time.Now()})
		t.mu.Unlock()
	}
}
