package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lookTime is how long a stream is asked that the list of streams lacks.
const lookTime = time.Second

// Infos tells of the streams that take subjects of this pattern, "" for all, and names those that do not answer: in an
// election, or while a majority is away, JetStream's list leaves them out, and nats.go (1.55.0) asks for the next page at a
// place that is wrong by as many.
func Infos(ctx context.Context, js jetstream.JetStream, subjects string) (infos []*jetstream.StreamInfo, silent []string, err error) {
	var missing []string
	for offset, total := 0, 1; offset < total; {
		body, err := json.Marshal(map[string]any{"offset": offset, "subject": subjects})
		if err != nil {
			return nil, nil, err
		}
		var page struct {
			Error   *jetstream.APIError     `json:"error"`
			Total   int                     `json:"total"`
			Limit   int                     `json:"limit"`
			Streams []*jetstream.StreamInfo `json:"streams"`
			Missing []string                `json:"missing"`
		}
		if err := request(ctx, js, "STREAM.LIST", body, &page); err != nil {
			return nil, nil, err
		}
		if page.Error != nil {
			return nil, nil, page.Error
		}
		infos, missing = append(infos, page.Streams...), append(missing, page.Missing...)
		total = page.Total
		offset += max(1, page.Limit)
	}
	for i, one := range lookAll(ctx, js, missing) {
		switch {
		case one.err == nil:
			infos = append(infos, one.info)
		case errors.Is(one.err, jetstream.ErrStreamNotFound): // deleted meanwhile
		default:
			silent = append(silent, missing[i])
		}
	}
	return infos, silent, ctx.Err()
}

type looked struct {
	info *jetstream.StreamInfo
	err  error
}

// lookAll asks for each by itself, all at once, so that many that are silent take no longer than one.
func lookAll(ctx context.Context, js jetstream.JetStream, names []string) []looked {
	found := make([]looked, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { found[i].info, found[i].err = look(ctx, js, name) })
	}
	group.Wait()
	return found
}

func look(ctx context.Context, js jetstream.JetStream, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}
