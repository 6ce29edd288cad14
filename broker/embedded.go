package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// settleTime bounds the last look at the listeners. nats-server's Start has opened them, or said why not, by then.
const settleTime = 5 * time.Second

// embedded is a nats-server in this process, started once. Broker and Leaf say with which options.
type embedded struct {
	log       zerolog.Logger
	clustered bool                        // other servers have copies of what this one stores
	login     []nats.Option               // what Connect needs to be let in
	before    func(context.Context) error // is done before each start; nil: nothing is
	ready     chan struct{}               // closed when clients can connect
	ran       atomic.Bool
	clientURL atomic.Value // string, set before ready closes

	mu   sync.Mutex
	srv  *server.Server // guarded by mu; nil before the server is ready and after it began to stop
	why  error          // guarded by mu; not nil while files cannot be written
	lack string         // guarded by mu; what keeps a majority of the cluster from being here
}

func newEmbedded(log zerolog.Logger, login ...nats.Option) *embedded {
	return &embedded{log: log.With().Str("component", "nats-server").Logger(), login: login, ready: make(chan struct{})}
}

// Ready is closed when clients can connect. It stays open when the server could not start; Run returns then.
func (e *embedded) Ready() <-chan struct{} { return e.ready }

// ClientURL is where NATS clients on this machine connect, without credentials; empty before Ready.
func (e *embedded) ClientURL() string {
	text, _ := e.clientURL.Load().(string)
	return text
}

// Connect opens a connection within the process. It reconnects for ever; opts may change that and everything else. The
// caller closes it, best before Run's context ends.
func (e *embedded) Connect(opts ...nats.Option) (*nats.Conn, error) {
	if e.server() == nil {
		return nil, fmt.Errorf("%w: connect after Ready and before Run returns", ErrNotRunning)
	}
	all := append([]nats.Option{nats.InProcessServer(inProcess{e}), nats.MaxReconnects(-1)}, e.login...)
	nc, err := nats.Connect(e.ClientURL(), append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("broker: connect within the process: %w", err)
	}
	return nc, nil
}

// inProcess connects to the server that runs now: after a lack of room it is another.
type inProcess struct{ e *embedded }

func (p inProcess) InProcessConn() (net.Conn, error) {
	srv := p.e.server()
	if srv == nil {
		return nil, ErrNotRunning
	}
	return srv.InProcessConn()
}

// Trouble says why nothing can be stored now; nil while all is well.
func (e *embedded) Trouble() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

func (e *embedded) setTrouble(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.why = why
}

// Majority is an error that says what is missing while too few servers of the cluster reach one another to store
// anything. A server that is alone has its majority.
func (e *embedded) Majority() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lack == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrMajority, e.lack)
}

func (e *embedded) setLack(lack string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lack = lack
}

// claimRun makes sure that Run is called once.
func (e *embedded) claimRun() error {
	if !e.ran.CompareAndSwap(false, true) {
		return ErrRunTwice
	}
	return nil
}

// serve runs a server until ctx ends, which is no error, and returns when it is gone. started is called before Ready.
// When its files could not be written and can be again, it is started anew at the same ports: nats-server 2.15.2 refuses
// or swallows every write to a stream whose file once failed, and the clients just reconnect.
func (e *embedded) serve(ctx context.Context, opts *server.Options, started func(*server.Server, *server.Options)) error {
	for look := firstLook; ; look = min(2*look, lastLook) {
		next, began := opts.Clone(), time.Now()
		err := e.serveOnce(ctx, next, started, look)
		if !errors.Is(err, errWritesAgain) {
			return err
		}
		opts.Port, opts.LeafNode.Port, opts.Cluster.Port = next.Port, next.LeafNode.Port, next.Cluster.Port
		if time.Since(began) > helped {
			look = firstLook / 2
		}
	}
}

func (e *embedded) serveOnce(ctx context.Context, opts *server.Options, started func(*server.Server, *server.Options), look time.Duration) error {
	if ctx.Err() != nil {
		return nil
	}
	if e.before != nil {
		switch err := e.before(ctx); {
		case ctx.Err() != nil:
			return nil
		case passes(err):
			defer e.sayTrouble(opts.StoreDir, err)()
			return e.awaitWrites(ctx, opts.StoreDir, look, make(chan struct{}))
		case err != nil:
			return err
		}
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	log := newServerLog(e.log)
	defer log.flush()
	srv.SetLoggerV2(log, log.debug(), log.trace(), false)

	// Start returns when the listeners are open or a fatal line was logged. It is not interrupted: a Shutdown in the
	// middle of it would race with JetStream's recovery.
	srv.Start()
	stopped := make(chan struct{})
	go func() { srv.WaitForShutdown(); close(stopped) }()
	defer func() { srv.Shutdown(); <-stopped }()

	if err := log.fatal(); err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	if !srv.ReadyForConnections(settleTime) {
		return fmt.Errorf("%w: its listeners did not open within %v", ErrStart, settleTime)
	}
	started(srv, opts)
	defer e.watchMajority(ctx, srv, log)()
	e.open(srv, opts.Host)
	defer e.close()
	log.started()

	unable := log.unable
	if !opts.JetStream {
		unable = nil // a leaf stores nothing
	}
	if e.clustered {
		defer watching(ctx, func(ctx context.Context) { watchRoom(ctx, opts.StoreDir, unable) })()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-unable:
		defer e.sayTrouble(opts.StoreDir, err)()
		if e.clustered {
			e.leave(srv, opts.StoreDir)
		}
		if err := e.awaitWrites(ctx, opts.StoreDir, look, stopped); err != nil || ctx.Err() != nil {
			return err
		}
	case <-log.died:
	case <-stopped:
	}
	if err := log.fatal(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return ErrStopped
}

func (e *embedded) open(srv *server.Server, host string) {
	e.clientURL.Store(urlOf("nats", host, srv.Addr().(*net.TCPAddr).Port))
	e.mu.Lock()
	e.srv = srv
	e.mu.Unlock()
	select {
	case <-e.ready:
	default:
		close(e.ready)
	}
}

func (e *embedded) close() {
	e.mu.Lock()
	e.srv = nil
	e.mu.Unlock()
}

// server is the running one, else nil.
func (e *embedded) server() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.srv
}

func urlOf(scheme, host string, port int) string {
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(reachable(host), strconv.Itoa(port))}
	return u.String()
}
