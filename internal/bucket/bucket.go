// Package bucket sets up the KV buckets and streams of a fabric. Any number of proxies of any version may do so at any
// time, because what exists is read, merged and written back only where a field that Damrey owns differs.
package bucket

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Schema is the version of the bucket layout this program writes. It is stored in the bucket's metadata under schemaKey;
// a program never writes to a bucket whose stored schema is higher than its own.
const Schema = 1

// schemaKey names the metadata entry that holds the schema.
const schemaKey = "damrey.schema"

// maxWrites bounds how often one Ensure changes one bucket. Two are usual at most; more means that somebody undoes them.
const maxWrites = 8

// Name is the bucket that holds the registrations of the fabric with this prefix.
func Name(prefix string) string { return prefix + "_workers" }

// AgentsName is the bucket that holds the name leases of the agents of the fabric with this prefix.
func AgentsName(prefix string) string { return prefix + "_agents" }

// ProxiesName is the bucket that holds where the proxies of a cluster are, for the fabric with this prefix.
func ProxiesName(prefix string) string { return prefix + "_proxies" }

// spec is what Damrey wants of one stream; everything else belongs to whoever set it.
type spec interface {
	stream() string
	create(ctx context.Context, js jetstream.JetStream) error
	// merge sets the fields Damrey owns in a configuration of a schema that is not above ours.
	merge(cfg config) (changed bool, err error)
}

// kv is a bucket.
type kv struct {
	bucket      string
	description string
	history     uint8
}

func (s kv) stream() string { return "KV_" + s.bucket }

// Ensure makes both buckets of a fabric or raises existing ones to what this version needs, and changes nothing that
// Damrey does not own. It waits for a JetStream that is not ready yet until ctx ends; the error then says what was
// missing (ErrNoJetStream). Safe to call from many processes at once.
//
// JetStream has no conditional update of a stream's configuration, so what somebody else changes within the
// millisecond between our read and our write is lost. Ensure reads again after each write to see its own arrive.
func Ensure(ctx context.Context, js jetstream.JetStream, prefix string) error {
	return ensureAll(ctx, js, buckets(prefix))
}

func ensureAll(ctx context.Context, js jetstream.JetStream, all []kv) error {
	for _, s := range all {
		if err := ensure(ctx, js, s); err != nil {
			return fmt.Errorf("bucket %s: %w", s.bucket, err)
		}
	}
	return nil
}

func buckets(prefix string) []kv {
	return []kv{
		{Name(prefix), "Damrey: registrations of workers", jetstream.KeyValueMaxHistory},
		{AgentsName(prefix), "Damrey: name leases of agents", 1},
	}
}

// EnsureProxies makes or raises the bucket of the proxies of a cluster.
func EnsureProxies(ctx context.Context, js jetstream.JetStream, prefix string) error {
	return ensureAll(ctx, js, []kv{proxies(prefix)})
}

func proxies(prefix string) kv {
	return kv{ProxiesName(prefix), "Damrey: where the proxies of the cluster are", 1}
}

// ensure repeats read, merge, write until a read finds nothing to change.
func ensure(ctx context.Context, js jetstream.JetStream, s spec) error {
	var retry patience
	for writes := 0; ; {
		settled, err := step(ctx, js, s)
		switch {
		case settled:
			return nil
		case err != nil:
			if err := retry.wait(ctx, err); err != nil {
				return err
			}
		default:
			if writes++; writes > maxWrites {
				return fmt.Errorf("%w: still different after %d writes; see who else writes it with `nats event --js-advisory`",
					ErrUnstable, maxWrites)
			}
		}
	}
}

// step does one read and at most one write. Settled means that the bucket was found as it should be.
func step(ctx context.Context, js jetstream.JetStream, s spec) (settled bool, err error) {
	cfg, err := readConfig(ctx, js, s.stream())
	if err != nil {
		return false, err
	}
	if cfg == nil {
		return false, s.create(ctx, js)
	}
	changed, err := merge(cfg, s)
	if err != nil {
		return false, err
	}
	replicas, err := mergeReplicas(cfg, s, js)
	if err != nil || !changed && replicas.from == replicas.to {
		return err == nil, err
	}
	return false, replicas.done(js, s.stream(), writeConfig(ctx, js, s.stream(), cfg))
}
