package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/listener"
)

// checkStores compares buckets, streams and consumers with what this version makes.
func checkStores(ctx context.Context, d *doctor) ([]finding, error) {
	faults, err := bucket.Inspect(ctx, d.js, d.prefix, jobsOf(*d.table))
	var found []finding
	for _, f := range faults {
		found = append(found, finding{Severity: failure, Where: "stream " + f.Store, What: f.What, Do: f.Do, Hint: f.Hint})
	}
	return found, err
}

// jobsOf are the streams that the table needs.
func jobsOf(table api.WorkerList) []bucket.Jobs {
	by := make(map[string]*bucket.Jobs)
	for _, w := range table.Workers {
		for _, c := range w.Commands {
			if c.Delivery != damrey.Durable {
				continue
			}
			if by[c.Worker] == nil {
				by[c.Worker] = &bucket.Jobs{Worker: c.Worker}
			}
			by[c.Worker].Keyed = by[c.Worker].Keyed || c.Key != 0
		}
	}
	for _, w := range table.Workers {
		if j := by[w.Name]; j != nil {
			j.Limits = bucket.Limits{Messages: int64(w.MaxMessages), Bytes: int64(w.MaxBytes)}
		}
	}
	var all []bucket.Jobs
	for _, j := range by {
		all = append(all, *j)
	}
	slices.SortFunc(all, func(a, b bucket.Jobs) int { return strings.Compare(a.Worker, b.Worker) })
	return all
}

// checkReplicas looks at the copies of the fabric's streams in a cluster.
func checkReplicas(ctx context.Context, d *doctor) (found []finding, err error) {
	infos, silent, err := bucket.Infos(ctx, d.js, "")
	if err != nil {
		return nil, err
	}
	for _, name := range silent {
		if d.owns(name) {
			found = append(found, leaderless(name))
		}
	}
	single := 0
	for _, info := range infos {
		if !d.owns(info.Config.Name) || info.Cluster == nil {
			continue
		}
		if info.Config.Replicas == 1 && d.nc.ConnectedClusterName() != "" && len(d.nc.Servers()) > 1 {
			single++
		}
		found = append(found, d.copies(info)...)
	}
	if single > 0 {
		found = append(found, finding{Severity: warning, Where: "cluster " + d.nc.ConnectedClusterName(),
			What: fmt.Sprintf("%d streams have one copy, and are away with its server", single), Do: "damrey proxy --replicas 3"})
	}
	return found, nil
}

func leaderless(stream string) finding {
	return finding{Severity: failure, Where: "stream " + stream, What: "it has no leader: nothing can be stored or read there",
		Do: "start the servers that are away; `nats server report jetstream` shows which"}
}

// copies looks at those of one stream.
func (d *doctor) copies(info *jetstream.StreamInfo) (found []finding) {
	where := "stream " + info.Config.Name
	if info.Cluster.Leader == "" {
		found = append(found, leaderless(info.Config.Name))
	}
	for _, r := range info.Cluster.Replicas {
		switch {
		case r.Offline:
			found = append(found, finding{Severity: failure, Where: where, What: fmt.Sprintf("its copy at %s is offline", r.Name), Do: "start the server " + r.Name})
		case !r.Current || r.Lag > 1000:
			found = append(found, finding{Severity: warning, Where: where, What: fmt.Sprintf("its copy at %s is behind by %d", r.Name, r.Lag),
				Do: "wait for it; `nats stream cluster peer-remove` when it never catches up"})
		}
	}
	return found
}

// owns: a stream is one of this fabric.
func (d *doctor) owns(stream string) bool {
	upper := strings.ToUpper(d.prefix) + "_"
	return strings.HasPrefix(stream, "KV_"+d.prefix+"_") || strings.HasPrefix(stream, upper+"JOBS_") ||
		slices.Contains([]string{bucket.DeadStream(d.prefix), bucket.TriedStream(d.prefix), bucket.LaterStream(d.prefix), bucket.TracesStream(d.prefix)}, stream)
}

// checkStreams looks for streams of others that store what the fabric sends.
func checkStreams(ctx context.Context, d *doctor) (found []finding, err error) {
	infos, _, err := bucket.Infos(ctx, d.js, d.prefix+".>") // those that do not answer were found by checkReplicas
	for _, info := range infos {
		if d.owns(info.Config.Name) {
			continue
		}
		f := finding{Severity: warning, Where: "stream " + info.Config.Name,
			What: fmt.Sprintf("it stores what the fabric sends: %s", strings.Join(info.Config.Subjects, ", ")),
			Do:   fmt.Sprintf("nats stream edit %s --subjects OTHERS, or nats stream rm %[1]s", info.Config.Name)}
		if slices.ContainsFunc(info.Config.Subjects, func(subject string) bool { return listener.Takes(d.prefix, subject, "*") }) {
			f.Severity = failure
			f.What += "; with it nobody is seen to be missing, and its acknowledgements go to requesters as answers"
		}
		found = append(found, f)
	}
	return found, err
}
