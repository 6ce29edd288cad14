package bucket

import (
	"bytes"
	"encoding/json"

	"github.com/nats-io/nats.go/jetstream"
)

// ReadAck recognises what JetStream says to the reply subject of a message that a stream stores, or refuses to. What has other
// fields is somebody's answer.
func ReadAck(data []byte) (stream string, ok bool) {
	if !bytes.HasPrefix(data, []byte(`{"stream":`)) && !bytes.HasPrefix(data, []byte(`{"error":{"code":`)) {
		return "", false
	}
	var ack struct {
		Error     *jetstream.APIError `json:"error"`
		Stream    *string             `json:"stream"`
		Sequence  *uint64             `json:"seq"`
		Domain    string              `json:"domain"`
		Duplicate bool                `json:"duplicate"`
		Value     string              `json:"val"`
		Batch     string              `json:"batch"`
		Count     uint64              `json:"count"`
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if strict.Decode(&ack) != nil || strict.More() || ack.Stream == nil || ack.Sequence == nil {
		return "", false
	}
	return *ack.Stream, true
}
