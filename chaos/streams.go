package chaos

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

const (
	lookTime   = 3 * time.Second
	settleTime = 60 * time.Second
	emptyTime  = 90 * time.Second // without any progress
)

func jobsStream(stage string) string { return bucket.JobsStream(damrey.DefaultPrefix, stage) }

// leader of a stream; nil while there is none.
func (s *site) leader(ctx context.Context, stream string) *node {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	got, err := s.js.Stream(ctx, stream)
	if err != nil || got.CachedInfo().Cluster == nil {
		return nil
	}
	for _, n := range s.nodes {
		if got.CachedInfo().Cluster.Leader == n.name {
			return n
		}
	}
	return nil
}

// awaitLeader of a stream.
func (s *site) awaitLeader(ctx context.Context, stream string) (*node, error) {
	for end := time.Now().Add(settleTime); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
		if n := s.leader(ctx, stream); n != nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s has no leader within %v", stream, settleTime)
}

// settle waits until every stream has a leader and all its copies are current, so that the next fault meets a cluster
// that is whole.
func (s *site) settle(ctx context.Context) error {
	behind := "nothing is known of the streams"
	for end := time.Now().Add(settleTime); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 250*time.Millisecond) {
		if behind = s.behind(ctx); behind == "" {
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil // the run ends, and looks again
	}
	return fmt.Errorf("not whole again within %v: %s", settleTime, behind)
}

// behind says which copies are not current; empty when all are.
func (s *site) behind(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	infos, silent, err := bucket.Infos(ctx, s.js, "")
	if err != nil {
		return err.Error()
	}
	if len(infos) < len(line) {
		return fmt.Sprintf("only %d streams answer", len(infos))
	}
	var problems []string
	for _, name := range silent {
		problems = append(problems, name+" does not answer")
	}
	for _, info := range infos {
		problems = append(problems, behindOf(info)...)
	}
	sort.Strings(problems)
	return strings.Join(problems, ", ")
}

func behindOf(info *jetstream.StreamInfo) (problems []string) {
	c := info.Cluster
	if c == nil || c.Leader == "" {
		return []string{info.Config.Name + " has no leader"}
	}
	if len(c.Replicas) != nodeCount-1 {
		problems = append(problems, fmt.Sprintf("%s has %d replicas besides its leader", info.Config.Name, len(c.Replicas)))
	}
	for _, r := range c.Replicas {
		if !r.Current || r.Offline {
			problems = append(problems, fmt.Sprintf("%s at %s is not current", info.Config.Name, r.Name))
		}
	}
	return problems
}

// left counts the jobs of the streams, without the marks of ids which are in them too.
func (s *site) left(ctx context.Context) (map[string]uint64, error) {
	left := make(map[string]uint64)
	for _, stage := range line {
		n, err := s.jobs(ctx, stage)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			left[jobsStream(stage)] = n
		}
	}
	return left, nil
}

func (s *site) jobs(ctx context.Context, stage string) (n uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	got, err := s.js.Stream(ctx, jobsStream(stage))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", jobsStream(stage), err)
	}
	info, err := got.Info(ctx, jetstream.WithSubjectFilter(damrey.DefaultPrefix+".job."+stage+".>"))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", jobsStream(stage), err)
	}
	for _, count := range info.State.Subjects {
		n += count
	}
	return n, nil
}

// awaitEmpty waits until every job is done, and returns what is left when none has been for a while.
func (s *site) awaitEmpty(ctx context.Context) (left map[string]uint64, err error) {
	least, moved := uint64(math.MaxUint64), time.Now()
	for ; ; sleep(ctx, 250*time.Millisecond) {
		left, err = s.left(ctx)
		if err == nil && len(left) == 0 || time.Since(moved) > emptyTime || ctx.Err() != nil {
			return left, err
		}
		if steps := stepsOf(left); err == nil && steps < least {
			least, moved = steps, time.Now()
		}
	}
}

// stepsOf is how many handlers are still to run for what is left.
func stepsOf(left map[string]uint64) (n uint64) {
	for i, stage := range line {
		n += left[jobsStream(stage)] * uint64(len(line)-i)
	}
	return n
}

// stuck says of each consumer of a stream that has something left what it waits for.
func (s *site) stuck(ctx context.Context, stream string) string {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	got, err := s.js.Stream(ctx, stream)
	if err != nil {
		return err.Error()
	}
	var all []string
	for c := range got.ListConsumers(ctx).Info() {
		if c.NumPending == 0 && c.NumAckPending == 0 {
			continue
		}
		text := fmt.Sprintf("%s: %d not handed out, %d not acknowledged, %d redelivered, %d pulls wait, floor %d",
			c.Name, c.NumPending, c.NumAckPending, c.NumRedelivered, c.NumWaiting, c.AckFloor.Stream)
		for _, g := range c.PriorityGroups {
			text += ", pinned to " + g.PinnedClientID
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}
