package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
)

const (
	plainEvery = 100 * time.Millisecond // of each of two clients
	plainTime  = 5*time.Second + answerSlack
)

// plain is a client without the library. What it asks is routed by the bridge of the server it is connected to, and it
// counts the answers itself. When that server dies or the connection breaks, nobody can promise it an answer.
type plain struct {
	name   string
	nc     *nats.Conn
	inbox  string
	breaks atomic.Int64 // how often the connection broke
	group  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	count  map[int]int
	kinds  map[int]string
	silent []silence
	answers
}

// silence is a request that got no answer.
type silence struct {
	id    string
	asked time.Time
}

func newPlain(name, url string) (*plain, error) {
	p := &plain{name: name, count: make(map[int]int), kinds: make(map[int]string)}
	p.answers.kinds = make(map[string]int)
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { p.breaks.Add(1) }))
	if err != nil {
		return nil, err
	}
	p.nc, p.inbox = nc, nc.NewInbox()
	if _, err := nc.Subscribe(p.inbox+".*", p.receive); err != nil {
		nc.Close()
		return nil, err
	}
	return p, nil
}

func (p *plain) close() { p.nc.Close() }

func (p *plain) receive(m *nats.Msg) {
	n, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if err != nil {
		return // nobody was given such a subject
	}
	kind := "no responders"
	if m.Header.Get("Status") == "" {
		kind, _, _ = strings.Cut(strings.Trim(string(m.Data), `["`), `"`)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[n]++
	p.kinds[n] = kind
}

func (p *plain) start(ctx context.Context) {
	askOften(ctx, &p.group, plainEvery, p.ask)
}

func (p *plain) wait() { p.group.Wait() }

func (p *plain) ask(n int) {
	id := fmt.Sprintf("%s-%d", p.name, n)
	before, asked := p.breaks.Load(), time.Now()
	payload := fmt.Sprintf(`["REQUEST","%s","%s"]`, echo, id)
	if p.nc.PublishRequest(damrey.OutSubject(damrey.DefaultPrefix, "entry", echo), p.inbox+"."+strconv.Itoa(n), []byte(payload)) != nil {
		p.exclude(n)
		return
	}
	time.Sleep(plainTime)
	if p.breaks.Load() != before || !p.nc.IsConnected() {
		p.exclude(n)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[n] == 0 {
		p.asked++
		p.silent = append(p.silent, silence{id, asked})
		return
	}
	p.answers.enter(id, p.kinds[n], p.count[n] > 1)
}

// judge tells those that nothing explains from those that met a fault, or a worker that was leaving: over the plain
// protocol an answer that is lost on its way is the client's own time-out.
func (p *plain) judge(faults []*happened, gone []window) {
	for _, s := range p.silent {
		from, to := s.asked.Add(-before), s.asked.Add(plainTime)
		met := false
		for _, f := range faults {
			met = met || f.overlaps(from, to)
		}
		for _, w := range gone {
			met = met || w.from.Before(to) && w.to.After(from)
		}
		if met {
			p.timedOut++
		} else {
			p.missing = append(p.missing, s.id)
		}
	}
}

// exclude a request whose connection broke, unless it was answered twice all the same.
func (p *plain) exclude(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.excluded++
	if p.count[n] > 1 {
		p.twice = append(p.twice, fmt.Sprintf("%s-%d", p.name, n))
	}
}
