package bucket

import (
	"maps"

	"github.com/nats-io/nats.go"
)

// JetStream's for an atomic batch that lost a part, for too many at a time, for one that was stored under its id before, for
// a header that nats-server 2.12.0 does not take in one, and for a message of a cluster that is being stored under the same id
// just now.
const (
	CodeBatchIncomplete = 10176
	CodeBatchesTooMany  = 10210
	CodeBatchDuplicate  = 10201
	CodeBatchHeader     = 10177
	CodeInProcess       = 10158
)

// JetStream's for an atomic batch.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// Both are two messages as an atomic batch of JetStream's, which stores both or none: one is to be published, then the other,
// whose acknowledgement counts for both. Each attempt needs another name; the server gives up what was begun under one before.
func Both(batch string, marker, msg *nats.Msg) (first, last *nats.Msg) {
	one, other := *marker, *msg
	// Headers are copied, since an attempt before may still be held up in publishing.
	one.Header, other.Header = maps.Clone(marker.Header), maps.Clone(msg.Header)
	one.Header[headerBatchID], other.Header[headerBatchID] = []string{batch}, []string{batch}
	one.Header[headerBatchSequence], other.Header[headerBatchSequence] = []string{"1"}, []string{"2"}
	other.Header[headerBatchCommit] = []string{"1"}
	return &one, &other
}
