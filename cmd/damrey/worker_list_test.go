package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func TestWorkerList_NamesDamagedEntriesBesideTheTable(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	newTestApp(&stdout, &stderr, nil).printWorkers(api.WorkerList{
		Workers: []api.Worker{{Registration: damrey.Registration{Name: "good"}}},
		Damaged: []api.Damaged{{Name: "bad", Problem: "broken JSON"}},
	})
	if !strings.Contains(stdout.String(), "good") || strings.Contains(stdout.String(), "bad") {
		t.Errorf("stdout:\n%s", &stdout)
	}
	if want := "delete it with `damrey worker del a/b`"; mendEntry("a/b") != want { // what is at no worker's name is not replaced
		t.Errorf("%s", mendEntry("a/b"))
	}
	if want := "the entry bad is damaged: broken JSON; delete it with `damrey worker del bad`"; !strings.Contains(stderr.String(), want) {
		t.Errorf("stderr:\n%s", &stderr)
	}
}
