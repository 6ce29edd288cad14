package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestBackup_SaysWhatAClusterWithoutAnAnswerMeans(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(startPatient(t).connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		was  error
		says bool
	}{
		{&jetstream.APIError{Code: 503, ErrorCode: 10008, Description: "JetStream system temporarily unavailable"}, true},
		{fmt.Errorf("stream X does not answer: %w", context.DeadlineExceeded), true},
		{&jetstream.APIError{Code: 500, ErrorCode: 10023, Description: "insufficient resources"}, false},
		{context.Canceled, false},
	} {
		err := unanswered(js, c.was)
		if says := strings.Contains(err.Error(), "has no majority; start those of its servers that are away"); says != c.says || !errors.Is(err, c.was) {
			t.Errorf("%v: %v", c.was, err)
		}
	}
}
