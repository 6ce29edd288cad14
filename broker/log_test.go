package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestLogLimit_PassesABurstAndTellsWhatItLeftOut(t *testing.T) {
	t.Parallel()
	limit, now := logLimit{}, time.Unix(0, 0)
	passed := 0
	for range 100 {
		if ok, _ := limit.pass("a", now); ok {
			passed++
		}
	}
	if passed != limitBurst || limit.total() != 100-limitBurst {
		t.Errorf("%d passed, %d left out", passed, limit.total())
	}
	if ok, _ := limit.pass("b", now); !ok {
		t.Error("another kind was held back")
	}
	ok, dropped := limit.pass("a", now.Add(limitWindow+1))
	if !ok || dropped != 100-limitBurst || limit.total() != 0 {
		t.Errorf("after the window: %v, %d left out, %d not told", ok, dropped, limit.total())
	}
}

func TestLogLimit_IsBounded(t *testing.T) {
	t.Parallel()
	limit, now := logLimit{}, time.Unix(0, 0)
	for i := range 10 * limitKeys {
		limit.pass(fmt.Sprint("kind ", i), now)
	}
	if len(limit) > limitKeys+1 {
		t.Errorf("%d kinds", len(limit))
	}
	limit.pass("later", now.Add(2*limitWindow))
	if len(limit) > 3 {
		t.Errorf("%d kinds after they went quiet", len(limit))
	}
}

func TestServerLog_MapsLevels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newServerLog(zerolog.New(&out).Level(zerolog.TraceLevel))
	log.Noticef("banner %d", 1)
	log.started()
	log.Noticef("notice %d", 1)
	log.Warnf("warning %d", 1)
	log.Warnf("The option `default_js_domain` is temporary")
	log.Errorf("error %d", 1)
	log.Debugf("debug %d", 1)
	log.Tracef("trace %d", 1)
	log.Fatalf("fatal %d", 1)
	log.Fatalf("fatal %d", 2)
	want := []string{"debug banner 1", "info notice 1", "warn warning 1", "debug The option `default_js_domain` is temporary",
		"error error 1", "debug debug 1", "trace trace 1", "error fatal 1", "error fatal 2"}
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var got struct{ Level, Message string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if text := got.Level + " " + got.Message; i >= len(want) || text != want[i] {
			t.Errorf("line %d: %s", i, text)
		}
	}
	if err := log.fatal(); err == nil || err.Error() != "fatal 1" {
		t.Errorf("remembered %v", err)
	}
	<-log.died
}

func TestServerLog_LimitsLinesOfOneKindFromManyConnections(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newServerLog(zerolog.New(&out))
	for i := range 100 {
		log.Errorf(fmt.Sprintf("10.1.2.3:%d - lid:%d - Leafnode Error %%s", i, i), "x")
	}
	log.flush()
	lines := strings.Count(out.String(), "\n")
	if lines != limitBurst+1 || !strings.Contains(out.String(), `"suppressed":95`) {
		t.Errorf("%d lines:\n%s", lines, out.String())
	}
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"2.12.0": true, "2.12.0-RC.3": true, "v2.15.2": true, "3.0.0": true, "2.100.0": true,
		"2.11.9": false, "2.9.25": false, "1.99.0": false, "2": false, "": false, "two.twelve": false,
	} {
		err := checkVersion(version)
		if (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "2.12") || !strings.Contains(err.Error(), version)) {
			t.Errorf("%v does not name both versions", err)
		}
		if parts := strings.Split(version, "."); err != nil && len(parts) == 3 && !strings.Contains(err.Error(), "for the atomic batches and per-message TTLs of durable routes") {
			t.Errorf("%v does not name the features", err)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "localhost": true, "LocalHost": true,
		"0.0.0.0": false, "::": false, "": false, "10.1.2.3": false, "localhost.example.org": false,
	} {
		if isLoopback(host) != want {
			t.Errorf("isLoopback(%q) = %v", host, !want)
		}
	}
}
