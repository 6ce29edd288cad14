package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// pauseTries is how often a change is made again because somebody else changed the entry meanwhile: what others change
// does not matter to it.
const pauseTries = 5

// pausing is the pausing or resuming of a worker or a route.
type pausing struct {
	paused bool
	worker string                                    // whose entry says so
	what   string                                    // is paused, for people
	flag   func(*damrey.Registration) (*bool, error) // in the entry; the error says that it has no such route
}

// setPaused stores what p wants, and prints what it did. That it is so already is no error.
func (a *app) setPaused(ctx context.Context, client *api.Client, p pausing) error {
	for try := 1; ; try++ {
		reg, revision, err := client.Worker(ctx, p.worker)
		if err != nil {
			return err
		}
		flag, err := p.flag(&reg)
		if err != nil {
			return err
		}
		if *flag == p.paused {
			_, err = fmt.Fprintf(a.stdout, "%s %s (revision %d)\n", p.what, already(p.paused), revision)
			return err
		}
		*flag = p.paused
		stored, err := client.Put(ctx, reg, api.Match(revision))
		if refused, ok := errors.AsType[*api.Error](err); ok && refused.Status == http.StatusPreconditionFailed && try < pauseTries {
			continue
		}
		if err != nil {
			return advise(err, p.worker)
		}
		verb := "resumed"
		if p.paused {
			verb = "paused"
		}
		_, err = fmt.Fprintf(a.stdout, "%s %s (revision %d)\n", verb, p.what, stored)
		return err
	}
}

func already(paused bool) string {
	if paused {
		return "is paused already"
	}
	return "is not paused"
}
