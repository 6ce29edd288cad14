package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

func echo(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
	return damrey.Reply(in.Args()...), nil
}

func openSend(batch damrey.Batch) func(*site) (raw, ours measure, err error) {
	return func(s *site) (raw, ours measure, err error) {
		url := s.broker.ClientURL()
		if raw, err = rawSend(s, url); err != nil {
			return nil, nil, err
		}
		ours, err = ourSend(s, "", damrey.Command{Name: "ask", Batch: batch})
		return raw, ours, err
	}
}

// ourSend measures Send → handler; more are further rows of the sender.
func ourSend(s *site, suffix string, first damrey.Command, more ...damrey.Command) (measure, error) {
	src, sink := "src"+suffix, "sink"+suffix
	first.Worker = sink
	err := s.register(
		damrey.Registration{Name: src, Commands: append([]damrey.Command{first}, more...)},
		damrey.Registration{Name: sink})
	if err != nil {
		return nil, err
	}
	a := newArrivals()
	url := s.broker.ClientURL()
	_, err = s.instance(url, sink, func(context.Context, damrey.Msg) (damrey.Msg, error) { a.one(); return nil, nil })
	if err != nil {
		return nil, err
	}
	w, err := s.instance(url, src, nil)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	return func(n int) (float64, error) {
		return a.throughput(n,
			func() error { return w.Send(ctx, message[1], message[2], message[3]) },
			func() error { return w.Flush(ctx) })
	}, nil
}

func openRequest(inFlight int) func(*site) (raw, ours measure, err error) {
	return func(s *site) (raw, ours measure, err error) {
		url := s.broker.ClientURL()
		return requests(s, url, url, inFlight)
	}
}

func openAgents(s *site) (raw, ours measure, err error) {
	from, err := s.leaf("agent-1")
	if err != nil {
		return nil, nil, err
	}
	to, err := s.leaf("agent-2")
	if err != nil {
		return nil, nil, err
	}
	return requests(s, from, to, 64)
}

// requests measures request and answer between clients of two servers.
func requests(s *site, from, to string, inFlight int) (raw, ours measure, err error) {
	in, err := s.connect(to)
	if err != nil {
		return nil, nil, err
	}
	out, err := s.connect(from)
	if err != nil {
		return nil, nil, err
	}
	if _, err := in.QueueSubscribe("raw.*.*.*", "raw", respond); err != nil {
		return nil, nil, err
	}
	if err := reachable(in, out, "raw.w.ask.src"); err != nil {
		return nil, nil, err
	}
	data := []byte(payload)
	raw = calls(inFlight, func() error { _, err := out.Request("raw.w.ask.src", data, patience); return err })

	ours, err = ourRequests(s, "", from, to, inFlight)
	return raw, ours, err
}

func ourRequests(s *site, suffix, from, to string, inFlight int) (measure, error) {
	src, sink := "src"+suffix, "w"+suffix
	err := s.register(damrey.Registration{Name: src, Commands: command("ask", sink)}, damrey.Registration{Name: sink})
	if err != nil {
		return nil, err
	}
	if _, err := s.instance(to, sink, echo); err != nil {
		return nil, err
	}
	w, err := s.instance(from, src, nil)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	return calls(inFlight, func() error {
		_, err := w.Request(ctx, message[1], message[2], message[3])
		return err
	}), nil
}

// respond echoes; an answer that cannot leave shows as the request's time-out.
func respond(m *nats.Msg) { _ = m.Respond(m.Data) }

// reachable waits until a subscription on one server is known at another.
func reachable(in, out *nats.Conn, subject string) error {
	if err := in.Flush(); err != nil {
		return err
	}
	end := time.Now().Add(patience)
	for {
		_, err := out.Request(subject, nil, time.Second)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// openLine: the same line by hand, where each hop forwards the requester's
// reply subject blindly, on a connection a worker as the instances have.
func openLine(inFlight int) func(*site) (raw, ours measure, err error) {
	return func(s *site) (raw, ours measure, err error) {
		url := s.broker.ClientURL()
		for i, next := range []string{"raw.b.ask.a", "raw.c.ask.b", ""} {
			nc, err := s.connect(url)
			if err != nil {
				return nil, nil, err
			}
			name := string(rune('a' + i))
			_, err = nc.QueueSubscribe("raw."+name+".*.*", name, func(m *nats.Msg) {
				if next == "" {
					respond(m)
					return
				}
				_ = nc.PublishRequest(next, m.Reply, m.Data) // shows as the request's time-out
			})
			if err := errors.Join(err, nc.Flush()); err != nil {
				return nil, nil, err
			}
		}
		out, err := s.connect(url)
		if err != nil {
			return nil, nil, err
		}
		data := []byte(payload)
		raw = calls(inFlight, func() error { _, err := out.Request("raw.a.ask.src", data, patience); return err })
		ours, err = ourLine(s, "", url, inFlight)
		return raw, ours, err
	}
}

func ourLine(s *site, suffix, url string, inFlight int) (measure, error) {
	src, a, b, c := "src"+suffix, "a"+suffix, "b"+suffix, "c"+suffix
	err := s.register(
		damrey.Registration{Name: src, Commands: command("ask", a)},
		damrey.Registration{Name: a, Commands: command("ask", b)},
		damrey.Registration{Name: b, Commands: command("ask", c)},
		damrey.Registration{Name: c})
	if err != nil {
		return nil, err
	}
	pass := func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { return in, nil }
	for name, h := range map[string]damrey.HandlerFunc{a: pass, b: pass, c: echo} {
		if _, err := s.instance(url, name, h); err != nil {
			return nil, err
		}
	}
	w, err := s.instance(url, src, nil)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	return calls(inFlight, func() error {
		_, err := w.Request(ctx, message[1], message[2], message[3])
		return err
	}), nil
}

func openBridge(s *site) (raw, ours measure, err error) {
	url := s.broker.ClientURL()
	if raw, err = rawSend(s, url); err != nil {
		return nil, nil, err
	}
	err = s.register(damrey.Registration{Name: "src", Commands: command("ask", "sink")}, damrey.Registration{Name: "sink"})
	if err != nil {
		return nil, nil, err
	}
	nc, err := s.connect(url)
	if err != nil {
		return nil, nil, err
	}
	watcher := damrey.NewWatcher(nc, damrey.WatchConfig{})
	if err := s.daemon(watcher.Run, watcher.Ready()); err != nil {
		return nil, nil, err
	}
	bridge := damrey.NewBridge(nc, damrey.BridgeConfig{Table: watcher.Table})
	if err := s.daemon(bridge.Run, bridge.Ready()); err != nil {
		return nil, nil, err
	}
	a := newArrivals()
	_, err = s.instance(url, "sink", func(context.Context, damrey.Msg) (damrey.Msg, error) { a.one(); return nil, nil })
	if err != nil {
		return nil, nil, err
	}
	out, err := s.connect(url)
	if err != nil {
		return nil, nil, err
	}
	data := []byte(payload)
	ours = func(n int) (float64, error) {
		return a.throughput(n, func() error { return out.Publish("damrey.out.src.ask", data) }, out.Flush)
	}
	return raw, ours, nil
}

func openChannel(s *site) (raw, ours measure, err error) {
	url := s.broker.ClientURL()
	if raw, err = rawSend(s, url); err != nil {
		return nil, nil, err
	}
	err = s.register(damrey.Registration{Name: "src", Commands: command("ask", "sink")}, damrey.Registration{Name: "sink"})
	if err != nil {
		return nil, nil, err
	}
	sink, err := s.instance(url, "sink", nil)
	if err != nil {
		return nil, nil, err
	}
	a := newArrivals()
	go func() {
		for range sink.RecvChannel() {
			a.one()
		}
	}()
	src, err := s.instance(url, "src", nil)
	if err != nil {
		return nil, nil, err
	}
	send := src.SendChannel()
	s.undo = append(s.undo, func() { close(send) })
	ours = func(n int) (float64, error) {
		return a.throughput(n,
			func() error { send <- &damrey.Message{Msg: message[:]}; return nil },
			func() error { return src.Flush(context.Background()) })
	}
	return raw, ours, nil
}

func openRoutes(s *site) (few, many measure, err error) {
	rows := func(n int) []damrey.Command {
		all := make([]damrey.Command, n)
		for i := range all {
			all[i] = damrey.Command{Name: fmt.Sprintf("type-%d", i), Worker: "nobody"}
		}
		return all
	}
	if few, err = ourSend(s, "-few", damrey.Command{Name: "ask"}, rows(9)...); err != nil {
		return nil, nil, err
	}
	many, err = ourSend(s, "-many", damrey.Command{Name: "ask"}, rows(9_999)...)
	return few, many, err
}

// openIdle: raw is a connection with a queue subscription and an inbox.
func openIdle(s *site) (raw, ours measure, err error) {
	url := s.broker.ClientURL()
	if err := s.register(damrey.Registration{Name: "idle"}); err != nil {
		return nil, nil, err
	}
	raw = func(n int) (float64, error) {
		return perOne(n, func() (func(), error) {
			nc, err := nats.Connect(url)
			if err != nil {
				return nil, err
			}
			_, err1 := nc.QueueSubscribe("raw.idle.*.*", "idle", respond)
			_, err2 := nc.Subscribe(nc.NewInbox()+".>", respond)
			return nc.Close, errors.Join(err1, err2, nc.Flush())
		})
	}
	ours = func(n int) (float64, error) {
		return perOne(n, func() (func(), error) {
			w := damrey.New(damrey.Config{Name: "idle"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: url}))
			w.Handle("*", echo)
			failed := make(chan error, 1)
			go func() { failed <- w.Serve(context.Background()) }()
			select {
			case <-w.Ready():
				return w.Stop, nil
			case err := <-failed:
				return nil, err
			case <-time.After(patience):
				return nil, errors.New("an instance was not ready in time")
			}
		})
	}
	return raw, ours, nil
}

// perOne makes n of something and returns the heap that one holds, the
// broker's side of it included, since that is in this process too.
func perOne(n int, open func() (func(), error)) (float64, error) {
	before := heap()
	closers := make([]func(), 0, n)
	defer func() {
		for _, c := range closers {
			c()
		}
	}()
	for range n {
		c, err := open()
		if err != nil {
			return 0, err
		}
		closers = append(closers, c)
	}
	return float64(heap()-before) / float64(n), nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
