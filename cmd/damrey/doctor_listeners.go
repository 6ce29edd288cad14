package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// listener is a connection that subscribes to messages, as far as the servers tell.
type listener struct {
	Name     string   `json:"name"`
	IP       string   `json:"ip"`
	Port     int      `json:"port"`
	CID      uint64   `json:"cid"`
	Subjects []string `json:"subscriptions_list"`
}

func (l listener) text() string {
	return fmt.Sprintf("%s at %s:%d (connection %d)", orDash(l.Name), l.IP, l.Port, l.CID)
}

// manyListeners is the most that one server tells of.
const manyListeners = 1 << 16

// listeners asks all servers who of this account subscribes to what would take a message to a worker; agents stand for
// their machines. Not every login may ask.
func (d *doctor) listeners(ctx context.Context, worker string) ([]listener, error) {
	if d.listening == nil {
		if err := d.askListeners(ctx); err != nil {
			return nil, err
		}
	}
	var all []listener
	for _, l := range d.listening {
		if slices.ContainsFunc(l.Subjects, func(pattern string) bool { return d.takes(pattern, worker) }) {
			all = append(all, l)
		}
	}
	return all, nil
}

func (d *doctor) askListeners(ctx context.Context) error {
	question, err := json.Marshal(map[string]any{"subscriptions": true, "filter_subject": d.prefix + ".msg.>", "limit": manyListeners})
	if err != nil {
		return err
	}
	d.listening = []listener{}
	return d.gather(ctx, "$SYS.REQ.ACCOUNT.PING.CONNZ", question, func(data []byte) {
		var answer struct {
			Data struct {
				Connections []listener `json:"connections"`
			} `json:"data"`
		}
		if json.Unmarshal(data, &answer) == nil {
			d.listening = append(d.listening, answer.Data.Connections...)
		}
	})
}

// checkListeners asks a worker that there is not. Somebody who listens to all messages makes the broker say that it was
// taken.
func checkListeners(ctx context.Context, d *doctor) ([]finding, error) {
	nobody := "nobody-" + nuid.Next()
	subject := d.prefix + ".msg." + nobody + ".probe.probe"
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := d.nc.RequestWithContext(asking, subject, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, nil
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	who, err := d.listeners(ctx, nobody)
	if err != nil {
		return nil, err
	}
	where, do := "somebody", "nats server request connections --filter-subject "+subject+" with a login of the system account shows who"
	if len(who) > 0 {
		var names []string
		for _, l := range who {
			names = append(names, l.text())
		}
		slices.Sort(names)
		where, do = strings.Join(names, ", "), "end it; use `damrey tap` to look at messages"
	}
	return []finding{{Severity: failure, Where: where, Do: do,
		What: fmt.Sprintf("subscribes to all of %s.msg: a worker that is gone is not seen to be gone, so requests to it end with TIMEOUT and sends to it vanish", d.prefix)}}, nil
}
