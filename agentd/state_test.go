package agentd_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/damrey/damrey/agentd"
)

// saved is the directory of an agent that ran with two rows and stopped.
func saved(t *testing.T, h *hub) (dir string) {
	t.Helper()
	dir = t.TempDir()
	h.register("entry", "add", "add")
	h.register("add", "", "")
	x := start(t, h.config("one", dir))
	x.fresh()
	x.stop()
	return dir
}

func TestState_KeepsTheTable(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := saved(t, h)
	m := join(t, h.config("one", dir))
	table := m.LastTable()
	if len(table.Rows()) != 2 || table.Created.IsZero() {
		t.Fatalf("%+v", table)
	}
	_, revision, err := h.client.Worker(t.Context(), "entry")
	must(t, err)
	row := table.Row("entry")
	if row.Revision != revision || row.Route("add").String() != "entry→add→add" {
		t.Errorf("%+v", row)
	}
}

func TestState_SurvivesAKillInTheMiddleOfAWrite(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := saved(t, h)
	for _, file := range []string{"table.json", "fabric.json", "id"} {
		must(t, os.WriteFile(filepath.Join(dir, file+".new"), []byte(`{"prefix":"dam`), 0o600))
	}
	if m := join(t, h.config("one", dir)); len(m.LastTable().Rows()) != 2 {
		t.Errorf("%+v", m.LastTable())
	}
}

func TestState_SetsBrokenFilesAside(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"table.json", "fabric.json", "id"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			dir := saved(t, h)
			path := filepath.Join(dir, file)
			must(t, os.WriteFile(path, []byte("{broken"), 0o600))
			log := &logs{}
			cfg := h.config("one", dir)
			cfg.Log = log.logger()
			m := join(t, cfg)
			if (m.LastTable() == nil) != (file == "table.json") {
				t.Errorf("table: %v", m.LastTable())
			}
			if got, err := os.ReadFile(path + ".broken"); err != nil || string(got) != "{broken" {
				t.Errorf("set aside: %q, %v", got, err)
			}
			if log.count(path+`"`) != 1 {
				t.Errorf("not reported: %s", log.text.String())
			}
		})
	}
}

func TestState_LeavesOutARowThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := saved(t, h)
	path := filepath.Join(dir, "table.json")
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(data), `"name":"entry"`, `"name":"en.try"`, 1)), 0o600))
	log := &logs{}
	cfg := h.config("one", dir)
	cfg.Log = log.logger()
	m := join(t, cfg)
	if rows := m.LastTable().Rows(); len(rows) != 1 || rows[0].Registration.Name != "add" {
		t.Errorf("%v", rows)
	}
	if log.count("en.try") != 1 {
		t.Errorf("not reported: %s", log.text.String())
	}
}

func TestState_TheTableOfAnotherFabricDoesNotServe(t *testing.T) {
	t.Parallel()
	dir := saved(t, newHub(t))
	other := newHub(t)
	other.proxy.stop()
	other.proxyCfg.Prefix = "other"
	other.startProxy()
	if m := join(t, other.config("one", dir)); m.LastTable() != nil {
		t.Errorf("%+v", m.LastTable())
	}
}

func TestState_KeepsTheFormerTableOfABucketThatLostRows(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := saved(t, h)
	anew := newHub(t) // a broker that has lost its store is another one to the agent
	anew.register("new", "", "")
	log := &logs{}
	cfg := anew.config("one", dir)
	cfg.Log = log.logger()
	x := start(t, cfg)
	x.fresh()
	x.stop()
	if m := join(t, cfg); len(m.LastTable().Rows()) != 1 {
		t.Errorf("%+v", m.LastTable())
	}
	former := filepath.Join(dir, "table-former.json")
	if data, err := os.ReadFile(former); err != nil || !strings.Contains(string(data), `"name":"entry"`) {
		t.Errorf("%s, %v", data, err)
	}
	if log.count(former) != 1 {
		t.Errorf("not reported: %s", log.text.String())
	}
}

func TestState_OneAgentPerDirectory(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := t.TempDir()
	join(t, h.config("one", dir))
	_, err := agentd.Join(t.Context(), h.config("two", dir))
	if !errors.Is(err, agentd.ErrDir) {
		t.Errorf("got %v", err)
	}
	says(t, err, dir, fmt.Sprintf("pid %d", os.Getpid()), "--data")
}

func TestState_SaysThatTheDirectoryCannotBeUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err := agentd.Join(t.Context(), agentd.Config{Name: "one", Proxy: "127.0.0.1:1", Dir: filepath.Join(file, "under")})
	if !errors.Is(err, agentd.ErrDir) {
		t.Errorf("got %v", err)
	}
	says(t, err, file, "--data")
}

// Not parallel: it sets the environment.
func TestState_DefaultDirectory(t *testing.T) {
	h := newHub(t)
	base := t.TempDir()
	t.Setenv("XDG_DATA_HOME", base)
	want := filepath.Join(base, "damrey", "agent-10.1.2.3_8080")
	if m := join(t, h.config("10.1.2.3:8080", "")); m.Dir != want {
		t.Errorf("%s is not %s", m.Dir, want)
	}
	info, err := os.Stat(filepath.Join(want, "id"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the id has mode %v", info.Mode())
	}

	t.Setenv("XDG_DATA_HOME", "relative")
	t.Setenv("HOME", base)
	if m := join(t, h.config("two", "")); m.Dir != filepath.Join(base, ".local", "share", "damrey", "agent-two") {
		t.Errorf("%s", m.Dir)
	}
}
