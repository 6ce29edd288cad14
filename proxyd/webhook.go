package proxyd

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
)

const (
	hookTime  = 10 * time.Second // for one attempt
	hookGive  = 30 * time.Minute // after which one is given up
	hookFirst = time.Second      // the pause after the first failure, doubled each time
	hookLast  = time.Minute
	hookQueue = 256 // what waits for one webhook at most; the oldest goes
	// hookSecret is how long a secret must be at least.
	hookSecret = 16
	// signatureHeader holds when it was signed, and HMAC-SHA256 of that, a dot and the body.
	signatureHeader = "Damrey-Signature"
)

// webhooks tells others over HTTP, while it is this proxy's turn to tell of alarms. Each has its own goroutine: one that hangs
// holds nobody up but itself.
type webhooks struct {
	allowed allowed
	log     zerolog.Logger
	version string
	url     func() string // of this proxy
	client  *http.Client

	mu      sync.Mutex // guards all below
	ctx     context.Context
	wait    sync.WaitGroup
	running map[string]*webhook
}

// webhook is one of them.
type webhook struct {
	api.Webhook
	all  *webhooks
	stop context.CancelFunc

	mu      sync.Mutex // guards all below
	queue   []notice
	inHand  int // the one that is tried
	more    chan struct{}
	done    api.WebhookDelivery
	dropped uint64
}

// notice is one alarm that is to be told.
type notice struct {
	alarm api.Alarm
	at    time.Time
}

func newWebhooks(cfg Config, url func() string) (*webhooks, error) {
	a, err := parseAllowed(cfg.Webhooks)
	if err != nil {
		return nil, err
	}
	return &webhooks{
		allowed: a, log: cfg.Log, version: cfg.Version, url: url, running: make(map[string]*webhook),
		client: &http.Client{
			Timeout:       hookTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			// No proxy of the environment: the address that is looked at would be the proxy's.
			Transport: &http.Transport{
				DialContext: a.dial, TLSHandshakeTimeout: hookTime / 2, ResponseHeaderTimeout: hookTime,
				IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 1, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
			},
		},
	}, nil
}

// start lets webhooks run until ctx ends; the returned function waits for that.
func (w *webhooks) start(ctx context.Context) (wait func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx = ctx
	return func() { w.wait.Wait(); w.client.CloseIdleConnections() }
}

// set makes the webhooks that run those of a list. One that stays as it was keeps what waits for it; one that starts is told
// first what fires: nobody knows what of it the same one was told elsewhere or before. It is called after start.
func (w *webhooks) set(list []api.Webhook, firing []api.Alarm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return
	}
	for name, h := range w.running {
		if !slices.ContainsFunc(list, func(want api.Webhook) bool { return want.Name == name && sameHook(want, h.Webhook) }) {
			h.stop()
			delete(w.running, name)
		}
	}
	for _, want := range list {
		if w.running[want.Name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(w.ctx)
		h := &webhook{Webhook: want, all: w, stop: stop, more: make(chan struct{}, 1)}
		w.running[want.Name] = h
		for _, a := range slices.Backward(firing) { // the worst last: where they are too many for the queue, the first go
			h.tell(a)
		}
		w.wait.Go(func() { h.run(ctx) })
	}
}

func sameHook(a, b api.Webhook) bool {
	return a.URL == b.URL && a.Format == b.Format && a.Severity == b.Severity && a.Secret == b.Secret
}

// tell never waits.
func (w *webhooks) tell(a api.Alarm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.running {
		h.tell(a)
	}
}

// delivery is how it goes with one webhook; nil when it does not run.
func (w *webhooks) delivery(name string) *api.WebhookDelivery {
	w.mu.Lock()
	h := w.running[name]
	w.mu.Unlock()
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.done
	d.Waiting = len(h.queue) + h.inHand
	return &d
}

// tell leaves out what is not bad enough for it.
func (h *webhook) tell(a api.Alarm) {
	if slices.Index(alarm.Severities, a.Severity) >= slices.Index(alarm.Severities, h.Severity) {
		h.add(notice{alarm: a, at: time.Now()})
	}
}

func (h *webhook) add(n notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) >= hookQueue {
		h.queue = h.queue[1:]
		h.done.Failed++
		if h.dropped++; h.dropped == 1 {
			h.all.log.Error().Str("webhook", h.Name).Int("waiting", hookQueue).Msg("a webhook does not keep up; the oldest of what waits for it is dropped")
		}
	}
	h.queue = append(h.queue, n)
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// first takes what has waited longest out of the queue. It counts as waiting until it is told or given up.
func (h *webhook) first() (notice, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inHand = 0
	if len(h.queue) == 0 {
		h.dropped = 0
		return notice{}, false
	}
	n := h.queue[0]
	h.queue, h.inHand = h.queue[1:], 1
	return n, true
}

func (h *webhook) run(ctx context.Context) {
	for {
		n, ok := h.first()
		if ok {
			h.deliver(ctx, n)
		} else {
			select {
			case <-h.more:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// deliver tries until it is taken, refused for good or given up.
func (h *webhook) deliver(ctx context.Context, n notice) {
	for wait := hookFirst; ; wait = min(2*wait, hookLast) {
		err := h.post(ctx, n)
		if ctx.Err() != nil {
			return
		}
		h.note(err)
		if err == nil {
			return
		}
		log := h.all.log.Warn().Err(err).Str("webhook", h.Name).Str("alarm", n.alarm.ID)
		if errors.Is(err, errHookRefused) || time.Since(n.at) > hookGive {
			h.giveUp()
			log.Msg("an alarm could not be told to a webhook and is given up")
			return
		}
		log.Stringer("again_in", wait).Msg("an alarm cannot be told to a webhook")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (h *webhook) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.done.LastError = err.Error()
		return
	}
	now := time.Now().UTC()
	h.inHand = 0
	h.done.Delivered++
	h.done.LastError, h.done.LastAt = "", &now
}

func (h *webhook) giveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inHand = 0
	h.done.Failed++
}

// errHookRefused is an answer that would be the same the next time.
var errHookRefused = errors.New("the webhook refuses it")

func (h *webhook) post(ctx context.Context, n notice) error {
	if _, err := h.all.allowed.check(h.URL); err != nil { // the configuration may be another than when it was set
		return fmt.Errorf("%w: %w", errHookRefused, err)
	}
	body, err := hookBody(h.Webhook, n.alarm, h.all.url())
	if err != nil {
		return fmt.Errorf("%w: %w", errHookRefused, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errHookRefused, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "damrey/"+h.all.version)
	if h.Secret != "" {
		req.Header.Set(signatureHeader, sign(h.Secret, time.Now(), body))
	}
	resp, err := h.all.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again; what it says does not matter
	return verdictOf(resp)
}

// verdictOf sorts an answer: taken, not now, or never.
func verdictOf(resp *http.Response) error {
	code := resp.StatusCode
	switch {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("%w: it redirects to %q, which is not followed; set that as its URL", errHookRefused, shorten(resp.Header.Get("Location")))
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return fmt.Errorf("%w: it answers %s", errHookRefused, resp.Status)
}

// sign is the value of the header by which a webhook knows that it was this fabric, and when.
func sign(secret string, now time.Time, body []byte) string {
	stamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
