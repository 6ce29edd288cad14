package broker

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// leaveTime bounds waiting for JetStream to end that ends already: nats-server ends it by itself when it finds a full disk.
	leaveTime = 30 * time.Second
	leaveLook = 10 * time.Millisecond
)

// leave ends the part in storing of a server of a cluster that cannot write its files. What it leads goes to servers that
// can, and its JetStream ends. Clients stay connected, and the other servers store for them.
//
// It has to be quick. nats-server 2.15.2 writes what a stream with copies stores some milliseconds after it counts as stored;
// when that fails it forgets what it could not write, without a word. A consumer that this server leads passes over what is
// forgotten, and then it is removed from all copies as though it had been handled.
func (e *embedded) leave(srv *server.Server, dir string) {
	root := filepath.Join(dir, "jetstream")
	for _, c := range within(root, "*/streams/*/obs/*") {
		stream := path.Dir(path.Dir(c))
		_ = srv.JetStreamStepdownConsumer(accountOf(stream), path.Base(stream), path.Base(c)) // it may be gone
	}
	streams := within(root, "*/streams/*")
	for _, s := range streams {
		_ = srv.JetStreamStepdownStream(accountOf(s), path.Base(s)) // it may be gone
	}
	if err := srv.ShutdownJetStream(); err != nil {
		e.log.Error().Err(err).Msg("JetStream did not end; this server may still take part in storing")
	}
	for end := time.Now().Add(leaveTime); srv.JetStreamConfig() != nil && time.Now().Before(end); {
		time.Sleep(leaveLook)
	}
	// What the server has noted of its blocks counts what it has forgotten, so that a start would not ask the others for it.
	for _, s := range streams {
		if err := forgetNotes(filepath.Join(root, filepath.FromSlash(s), "msgs")); err != nil {
			e.log.Error().Err(err).Msg("what the server has noted of a stream's blocks could not be removed; its copy here may lack messages when it starts")
		}
	}
	e.log.Warn().Msg("this server takes no part in storing until it can write again; the other servers of the cluster do")
}

// forgetNotes removes what the server has noted of a stream's blocks. It is made anew by reading them.
func forgetNotes(dir string) (err error) {
	for _, note := range []string{"index.db", "thw.db", "sched.db"} {
		if gone := os.Remove(filepath.Join(dir, note)); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// within are the paths below root, with slashes, that match.
func within(root, pattern string) []string {
	found, err := fs.Glob(os.DirFS(root), pattern)
	if err != nil {
		return nil // the pattern is ours
	}
	return found
}

// accountOf is the account of a stream's path.
func accountOf(stream string) string { return path.Dir(path.Dir(stream)) }
