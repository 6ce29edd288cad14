package snapshot

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Held is a stream of a fabric that is there.
type Held struct {
	Name     string
	Messages uint64
}

// Streams are those of the fabric of this prefix, but for the leases of agents, which last seconds, where the proxies of a
// cluster are, which they tell themselves, and the alarms, which are of the moment. They come in the order in which a message goes: schedules, jobs, dead letters, and the table at the end. So one that goes on to the dead
// letters while they are copied is in both, and not in neither.
func Streams(ctx context.Context, js jetstream.JetStream, prefix string) ([]Held, error) {
	var all []Held
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		if belongs(info.Config, prefix) {
			all = append(all, Held{info.Config.Name, info.State.Msgs})
		}
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(cmp.Compare(place(a.Name, prefix), place(b.Name, prefix)), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// belongs goes by the subjects too: names are in capitals, so that those of other fabrics may begin alike.
func belongs(cfg jetstream.StreamConfig, prefix string) bool {
	if rest, ok := strings.CutPrefix(cfg.Name, "KV_"+prefix+"_"); ok {
		return rest != "agents" && rest != "proxies" && rest != "alarmstate" && !strings.Contains(rest, "_")
	}
	return strings.HasPrefix(cfg.Name, strings.ToUpper(prefix)+"_") && len(cfg.Subjects) > 0 &&
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
