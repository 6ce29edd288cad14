package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

// Held is a stream of a fabric that is there.
type Held struct {
	Name     string
	Messages uint64
	Replicas int
}

// answerTime is how long one answer is awaited; who leads a stream gives it in milliseconds.
const answerTime = 2 * time.Second

// Streams are those of the fabric of this prefix, but for the leases of agents, which last seconds, where the
// proxies of a cluster are, which they tell themselves, the alarms, which are of the moment, and traces, which are of
// what was. They come in the order in which a message goes: schedules, jobs, dead letters, and the table at the end. So
// one that goes on to the dead letters while they are copied is in both, and not in neither.
//
// All are there, or it is an error: in an election JetStream's list of streams lacks those that do not answer and says
// nothing of it. So the names are asked for, which it knows without them, and then each by itself.
func Streams(ctx context.Context, js jetstream.JetStream, prefix string) ([]Held, error) {
	var all []Held
	err := patiently(ctx, electionTime, func(ctx context.Context) (err error) {
		all, err = streams(ctx, js, prefix)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(cmp.Compare(place(a.Name, prefix), place(b.Name, prefix)), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

func streams(ctx context.Context, js jetstream.JetStream, prefix string) ([]Held, error) {
	var all []Held
	list, err := names(ctx, js.Conn())
	if err != nil {
		return nil, err
	}
	for _, name := range list {
		if !isNamed(name, prefix) {
			continue
		}
		info, err := look(ctx, js, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("%w: %s is gone", errAgain, name)
		}
		if err != nil {
			return nil, fmt.Errorf("stream %s does not answer: %w", name, err)
		}
		if belongs(info.Config, prefix) {
			all = append(all, Held{name, info.State.Msgs, info.Config.Replicas})
		}
	}
	return all, nil
}

// names are those of all streams of the account.
func names(ctx context.Context, nc *nats.Conn) ([]string, error) {
	var all []string
	for total := -1; len(all) != total; {
		var page answer
		err := patiently(ctx, answerTime, func(ctx context.Context) (err error) {
			page, err = ask(ctx, nc, api+"NAMES", map[string]any{"offset": len(all)})
			return err
		})
		if err != nil {
			return nil, err
		}
		if total >= 0 && page.Total != total || len(all)+len(page.Streams) > page.Total || len(page.Streams) == 0 && len(all) < page.Total {
			return nil, errAgain
		}
		total, all = page.Total, append(all, page.Streams...)
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) < len(all) {
		return nil, errAgain
	}
	return all, nil
}

// look asks for a stream until who leads it answers.
func look(ctx context.Context, js jetstream.JetStream, name string) (info *jetstream.StreamInfo, err error) {
	err = patiently(ctx, answerTime, func(ctx context.Context) error {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	return info, err
}

// isNamed says that a stream of this name may be part of a backup of the fabric.
func isNamed(name, prefix string) bool {
	if rest, ok := strings.CutPrefix(name, "KV_"+prefix+"_"); ok {
		return rest != "agents" && rest != "proxies" && rest != "alarmstate" && !strings.Contains(rest, "_")
	}
	return strings.HasPrefix(name, strings.ToUpper(prefix)+"_") && name != bucket.TracesStream(prefix)
}

// belongs goes by the subjects: names are in capitals, so that those of other fabrics may begin alike.
func belongs(cfg jetstream.StreamConfig, prefix string) bool {
	return strings.HasPrefix(cfg.Name, "KV_") || len(cfg.Subjects) > 0 &&
		!slices.ContainsFunc(cfg.Subjects, func(s string) bool { return !strings.HasPrefix(s, prefix+".") })
}

func place(name, prefix string) int {
	switch rest := strings.TrimPrefix(name, strings.ToUpper(prefix)+"_"); {
	case strings.HasPrefix(name, "KV_"):
		return 4
	case rest == "DEAD":
		return 3
	case rest == "TRIED":
		return 2
	case strings.HasPrefix(rest, "JOBS_"):
		return 1
	}
	return 0
}
