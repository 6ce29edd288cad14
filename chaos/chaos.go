package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

const (
	quietTime  = 3 * time.Second  // before the first fault
	finishTime = 90 * time.Second // for what is under way when the faults are over
	stopTime   = 30 * time.Second // for the driver's instance to end
)

// run is one run.
type run struct {
	cfg    Config
	log    zerolog.Logger
	site   *site
	table  *table
	entry  *damrey.Instance
	send   chan<- *damrey.Message
	served chan error
	report Report

	driver   *driver
	requests *requests
	plains   []*plain
	faults   []*happened
}

// Run starts the fabric, breaks it for a while, and reports. The error says that there is no whole report: something
// could not be started, or ctx has ended.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.Check(); err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", "damrey-chaos-")
	if err != nil {
		return Report{}, err
	}
	r := &run{cfg: cfg, log: cfg.Log, report: Report{Seed: cfg.Seed, Answers: make(map[string]int), Problems: []string{}, Faults: []Fault{}, Directory: dir}}
	err = r.all(ctx, dir)
	if ctx.Err() != nil {
		return r.report, errors.Join(ctx.Err(), os.RemoveAll(dir))
	}
	if err != nil {
		return r.report, fmt.Errorf("%w; journals and logs are in %s", err, dir)
	}
	if len(r.report.Problems) == 0 {
		r.report.Directory = ""
		err = os.RemoveAll(dir)
	}
	return r.report, err
}

func (r *run) all(ctx context.Context, dir string) (err error) {
	r.log.Info().Uint64("seed", r.cfg.Seed).Str("directory", dir).Msg("starting three nodes, two agents and eight instances")
	r.site, err = newSite(ctx, r.cfg, dir)
	defer r.site.close()
	if err != nil {
		return err
	}
	if err := r.populate(ctx, dir); err != nil {
		return err
	}
	defer r.table.close()
	began := time.Now()
	err = r.traffic(ctx)
	ended := time.Now()
	err = errors.Join(err, r.stopEntry())
	if err != nil {
		return err
	}
	return r.judge(ctx, began, ended)
}

// populate fills the table and starts what uses it.
func (r *run) populate(ctx context.Context, dir string) (err error) {
	if r.table, err = newTable(r.site, r.log); err != nil {
		return err
	}
	filling, cancel := context.WithTimeout(ctx, finishTime)
	defer cancel()
	if err := r.table.fill(filling); err != nil {
		return err
	}
	if err := r.startEntry(ctx, filepath.Join(dir, "entry.log")); err != nil {
		return err
	}
	if err := r.site.startWorkers(ctx); err != nil {
		return err
	}
	for name, url := range map[string]string{
		"plain-agent":  "nats://" + at(ownHost, r.site.agents[0].port),
		"plain-broker": r.site.natsURLs(),
	} {
		p, err := newPlain(name, url)
		if err != nil {
			return err
		}
		r.plains = append(r.plains, p)
	}
	return r.site.settle(ctx)
}

func (r *run) startEntry(ctx context.Context, path string) error {
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	r.entry = damrey.New(damrey.Config{Name: "entry"}, zerolog.New(zerolog.SyncWriter(log)).With().Timestamp().Logger(),
		damrey.WithConnect(damrey.ConnectConfig{URL: r.site.natsURLs()}), damrey.WithDrainTime(time.Second))
	r.send = r.entry.SendChannel()
	r.served = make(chan error, 1)
	go func() { r.served <- r.entry.Serve(context.Background()); log.Close() }()
	timer := time.NewTimer(readyTime)
	defer timer.Stop()
	select {
	case <-r.entry.Ready():
		return nil
	case err := <-r.served:
		return fmt.Errorf("entry: %w", err)
	case <-timer.C:
		return fmt.Errorf("entry was not ready within %v", readyTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) stopEntry() error {
	for _, p := range r.plains {
		p.close()
	}
	r.entry.Stop()
	close(r.send)
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case err := <-r.served:
		return err
	case <-timer.C:
		return fmt.Errorf("entry did not stop within %v", stopTime)
	}
}

// traffic goes until the faults are over and what was under way is finished.
func (r *run) traffic(ctx context.Context) error {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	patience, giveUp := context.WithTimeout(ctx, r.cfg.For+settleTime+readyTime+finishTime)
	defer giveUp()
	r.driver = &driver{w: r.entry}
	r.driver.start(sending, patience)
	r.requests = &requests{send: r.send}
	r.requests.start(sending)
	for _, p := range r.plains {
		p.start(sending)
	}
	r.table.start(sending, patience, rand.New(rand.NewPCG(r.cfg.Seed, 3)))
	err := r.breakThings(ctx)
	stop()
	r.log.Info().Msg("no more faults; finishing what is under way")
	r.table.wait()
	r.driver.wait()
	r.requests.wait()
	for _, p := range r.plains {
		p.wait()
	}
	return errors.Join(err, ctx.Err())
}

// breakThings makes one fault after another until the time is over.
func (r *run) breakThings(ctx context.Context) error {
	began := time.Now()
	end := began.Add(r.cfg.For)
	defer func() { r.report.Seconds = time.Since(began).Seconds() }()
	sleep(ctx, quietTime)
	for s := newSchedule(r.cfg); ctx.Err() == nil; {
		next := s.next()
		sleep(ctx, next.gap)
		if time.Now().After(end) || ctx.Err() != nil {
			break
		}
		r.log.Info().Str("fault", next.kind.name).Dur("at_ms", time.Since(began)).Msg("now")
		h, err := next.make(ctx, r.site)
		r.faults = append(r.faults, h)
		if err != nil && ctx.Err() == nil {
			r.report.accuse("%v", err)
			return nil // what it left is no known state for another
		}
		r.log.Info().Str("fault", h.name).Str("target", h.target).Dur("for_ms", h.ended.Sub(h.began)).Msg("healed")
	}
	return ctx.Err()
}

// judge waits until all is done and looks at what there is.
func (r *run) judge(ctx context.Context, began, ended time.Time) error {
	left, err := r.site.awaitEmpty(ctx)
	if err != nil {
		r.report.accuse("what is left in the streams: %v", err)
	}
	for stream, n := range left {
		r.report.accuse("%d messages are left in %s, and none was done for %v: %s", n, stream, emptyTime, r.site.stuck(ctx, stream))
	}
	e := evidence{sent: r.driver.all, faults: r.faults}
	if e.dead, err = r.deadLetters(ctx); err != nil {
		return err
	}
	for _, p := range r.site.processes() {
		if err := p.stop(); err != nil {
			r.report.accuse("%v", err)
		}
	}
	for _, w := range r.site.workers {
		entries, err := readJournal(w.journal)
		if err != nil {
			return err
		}
		e.entries = append(e.entries, entries...)
	}
	r.report.check(e)
	r.report.measureStalls(e, began, ended)
	r.checkAnswers()
	r.report.RouteChanges, r.report.RefusedChanges = r.table.changes, r.table.refused
	r.report.Problems = append(r.report.Problems, r.driver.problems...)
	r.report.Problems = append(r.report.Problems, r.site.troubles()...)
	return ctx.Err()
}

func (r *run) deadLetters(ctx context.Context) (all []api.DeadLetter, err error) {
	filter := api.DeadFilter{Limit: api.MaxDead}
	for {
		list, err := r.table.clients[0].Dead(ctx, filter)
		if err != nil {
			return nil, err
		}
		all = append(all, list.Letters...)
		if list.Next == 0 {
			return all, nil
		}
		filter.After = list.Next
	}
}

func (r *run) checkAnswers() {
	r.report.Requests = r.requests.asked
	all := []answers{r.requests.answers}
	for _, p := range r.plains {
		p.judge(r.faults, r.table.gone)
		r.report.PlainRequests += p.asked + p.excluded
		all = append(all, p.answers)
	}
	for _, a := range all {
		for kind, n := range a.kinds {
			r.report.Answers[kind] += n
		}
		r.report.Unanswered += len(a.missing)
		r.report.AnsweredTwice += len(a.twice)
		r.report.Excluded += a.excluded
		r.report.TimedOut += a.timedOut
		r.report.accuseAll("unanswered", a.missing)
		r.report.accuseAll("answered twice", a.twice)
	}
}
