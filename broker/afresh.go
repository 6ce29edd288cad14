package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// beginAfresh takes away what this server's copies of consumers were when it ended, before the server looks at it. They begin
// with nothing, as on a server that is new, and become what they are of their log, which holds all of it.
//
// nats-server 2.15.2 reads what a copy was and then, while it waits for its log, notes each message that leaves the stream as
// acknowledged. With that a copy can be ahead of the snapshot that the leader sends it, which it refuses as old, and goes on
// with what comes after the snapshot. What was handed out between is not out for this copy: once its server leads, those
// messages are not handed out again, and removed from all copies as though they had been handled.
func (b *Broker) beginAfresh(dir string) error {
	if !b.clustered {
		return nil // there is no log; what the consumer was is all there is
	}
	root := filepath.Join(dir, "jetstream")
	for _, note := range within(root, "*/streams/*/obs/*/o.dat") {
		path := filepath.Join(root, filepath.FromSlash(note))
		consumer := filepath.Dir(path)
		if !hasLog(consumer, filepath.Dir(filepath.Dir(consumer))) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", ErrDir, err)
		}
	}
	return nil
}

// hasLog says that a consumer surely has copies, which share a log.
func hasLog(consumer, stream string) bool {
	var c struct {
		Durable  string `json:"durable_name"` // others may have no copies, whatever their stream has
		Replicas int    `json:"num_replicas"` // 0: as many as the stream
	}
	var s struct {
		Replicas int `json:"num_replicas"`
	}
	return readMeta(consumer, &c) && readMeta(stream, &s) && c.Durable != "" && s.Replicas > 1 && c.Replicas != 1
}

// readMeta reads how a stream or a consumer was made. False when that cannot be told.
func readMeta(dir string, into any) bool {
	data, err := os.ReadFile(filepath.Join(dir, "meta.inf"))
	return err == nil && json.Unmarshal(data, into) == nil
}
