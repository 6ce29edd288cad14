package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestRoot_RefusesWrongCallsWithTwo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, says string
		env        map[string]string
	}{
		{args: "porxy", says: "did you mean proxy?"},
		{args: "worker lsit", says: "did you mean list?"},
		{args: "worker run", says: "NAME is missing"},
		{args: "worker run a", says: "the program is missing"},
		{args: "worker run a b", says: "put -- before the program"},
		{args: "worker run a b -- c", says: `"b" is one argument too many`},
		{args: "worker run a.b -- c", says: "character '.' at position 2"},
		{args: "worker run a --procs 0 -- c", says: "--procs 0"},
		{args: "worker run a --rc 0 -- c", says: "--rc 0"},
		{args: "worker run a --drain 0s -- c", says: "--drain 0s"},
		{args: "worker run a --timeout 2h -- c", says: "--timeout 2h0m0s is out of range"},
		{args: "worker run damrey-x -- c", says: "damrey-x"},
		{args: "worker add", says: "NAME is missing"},
		{args: "worker add a -f b", says: "not both"},
		{args: "worker add -f b --mpu 3", says: "--file and --mpu exclude each other"},
		{args: "worker add a --mpu -1", says: "mpu: -1 is out of range"},
		{args: "worker add a --command x", says: "write TYPE=WORKER"},
		{args: "worker add a --command x=y,mpu=z", says: `mpu needs a whole number, not "z"`},
		{args: "worker add a --command x=y,bath=3", says: `unknown option "bath"`},
		{args: "worker add a --command x=y,batch=300", says: "batch: 300 is out of range"},
		{args: "worker add a --command x=y --command x=z", says: `type "x" stands twice`},
		{args: "worker chg a", says: "nothing to change"},
		{args: "worker get", says: "NAME is missing"},
		{args: "worker del a b", says: `"b" is one argument too many`},
		{args: "worker list --proxy ftp://x", says: `scheme "ftp"`},
		{args: "worker list -o xml", says: "none of table, json, yaml"},
		{args: "worker list", env: map[string]string{"DAMREY_OUTPUT": "xml"}, says: "DAMREY_OUTPUT: \"xml\" is none of"},
		{args: "version", env: map[string]string{"DAMREY_LOG_LEVEL": "loud"}, says: "DAMREY_LOG_LEVEL: \"loud\" is none of"},
		{args: "dead lss", says: "did you mean ls?"},
		{args: "dead ls --limit 0", says: "--limit 0"},
		{args: "dead ls --since noon", says: `"noon" is neither a duration, such as 1h30m, nor a time`},
		{args: "dead ls --since -1h", says: `"-1h" is neither`},
		{args: "dead ls --since 1h --until 2h", says: "--until 2h is before --since 1h"},
		{args: "dead ls --worker a.b", says: "--worker: "},
		{args: "dead ls --type *", says: "--type: "},
		{args: "dead show", says: "SEQ is missing"},
		{args: "dead show x", says: `SEQ: "x" is no number of a dead letter`},
		{args: "dead retry", says: "SEQ is missing; give the numbers of letters"},
		{args: "dead retry 0", says: `SEQ: "0"`},
		{args: "dead retry 1 --all", says: "not both"},
		{args: "dead retry 1 --worker w", says: "filters are for --all"},
		{args: "dead retry --worker w", says: "--all is missing"},
		{args: "dead retry --all --rate 0/s", says: `"0/s" is no rate`},
		{args: "dead purge", says: "or --all"},
		{args: "dead purge --error x", says: "--all is missing"},
		{args: "request a", says: "TYPE is missing"},
		{args: "request a.b c", says: "FROM: "},
		{args: "request a b --timeout 0s", says: "--timeout 0s is out of range"},
		{args: "request a b -1", says: "put -- before arguments"},
		{args: "send a b*", says: "TYPE: "},
		{args: "send a b --prefix c.d", says: "--prefix: "},
		{args: "proxy -p 65536", says: `"65536" is no port`},
		{args: "proxy --memory --data x", says: "--data and --memory exclude each other"},
		{args: "proxy --nats nats://x --nats-port 1", says: "--nats and --nats-port exclude each other"},
		{args: "proxy --nats nats://x --sync always", says: "--nats and --sync exclude each other"},
		{args: "proxy --sync 0", says: `"0" is no time; use always, or 1ms or more, such as 100ms`},
		{args: "dev --sync never", says: `"never" is no time`},
		{args: "dev --sync 1ns", says: `"1ns" is no time`},
		{args: "dev", env: map[string]string{"DAMREY_SYNC": "-1s"}, says: "DAMREY_SYNC: \"-1s\" is no time"},
		{args: "proxy --creds x", says: "--creds is for an external NATS"},
		{args: "proxy --nats-port 5000 --leaf-port 5000 --memory", says: "are both 5000"},
		{args: "bench --scale NaN", says: "--scale: NaN; use more than 0 and at most 100"},
		{args: "bench --scale Inf", says: "--scale: +Inf"},
		{args: "bench --scale 1e300", says: "--scale: 1e+300"},
		{args: "bench --scale -1", says: "--scale: -1"},
		{args: "bench --scale 0", says: "--scale: 0"},
		{args: "bench --rounds 0", says: "--rounds: 0"},
		{args: "proxy --advertise http://10.1.2.3:99", says: "type --advertise 10.1.2.3"},
		{args: "proxy --advertise 10.1.2.3:99", says: "type --advertise 10.1.2.3"},
		{args: "proxy --advertise [::1]", says: "type --advertise ::1"},
		{args: "dev --advertise a'b:99", says: `--advertise "a'b:99" is no host`},
		{args: "proxy --nats nats://x --leaf foo", says: "type --leaf nats-leaf://foo:7422"},
		{args: "proxy --nats nats://x --leaf http://foo:1", says: `the scheme is "http"`},
		{args: "proxy --nats nats://x --leaf foo:99999", says: "the port is out of range"},
		{args: "proxy --prefix _INBOX", says: "NATS keeps subjects that begin with '_'"},
		{args: "dev --prefix _R_", says: "NATS keeps subjects that begin with '_'"},
		{args: "send a b --prefix=-", says: "as a flag does"},
		{args: "proxy -p 18081 --nats-port 18081", says: "--port and --nats-port are both 18081"},
		{args: "dev --leaf-port 18081 -p 18081", says: "--port and --leaf-port are both 18081"},
		{args: "dev --leaf-port 4222", says: "--nats-port and --leaf-port are both 4222"},
		{args: "proxy --host 0.0.0.0", says: "type --insecure too"},
		{args: "proxy --host 0.0.0.0 --user u --password p", says: "type --insecure too"},
		{args: "dev --host [::]", says: "type --host ::"},
		{args: "proxy --user u", says: "--user and --password"},
		{args: "proxy --nats http://u:secret@x", says: `http://u:xxxxx@x is no NATS URL: the scheme is "http"`},
		{args: "request a b --nats http://x", says: "is no NATS URL"},
		{args: "worker run a --nats nats://x:0 -- b", says: "the port is out of range"},
		{args: "request damrey-x b", says: `names beginning "damrey-" belong to the fabric`},
		{args: "agent -a ..", says: "no path and no URL"},
		{args: "agent -a x --host 0.0.0.0", says: "type --insecure too"},
		{args: "agent -a .", says: "no path and no URL"},
		{args: "agent -a a/b", says: "no path and no URL"},
		{args: "agent -a http://10.1.2.3:4222", says: "no path and no URL"},
		{args: "agent -a x --host http://x", says: "type --host x"},
		{args: "bench --rounds x", says: `--rounds: "x" is not a whole number; use 1 or more`},
		{args: "worker add a --mpu 99999999999999999999", says: `--mpu: "99999999999999999999" is out of range; use 1 to 1000000`},
		{args: "worker add a", env: map[string]string{"DAMREY_MPU": "x"}, says: `environment variable DAMREY_MPU: "x" is not a whole number`},
		{args: "request a b --timeout 5", says: `--timeout: "5" is not a duration such as 5s or 1m30s; use 1ms to 1h`},
		{args: "bench --scale x", says: `--scale: "x" is not a number; use more than 0`},
		{args: "proxy --memory=x", says: `--memory: "x" is neither true nor false`},
		{args: "proxy", env: map[string]string{"DAMREY_DATA": "x", "DAMREY_MEMORY": "true"}, says: "DAMREY_DATA and DAMREY_MEMORY exclude each other"},
		{args: "proxy --nats=", says: "--nats is empty; give a value, or leave the flag out"},
		{args: "proxy --data=", says: "--data is empty"},
		{args: "dev --host=", says: "--host is empty; give a value, or leave the flag out for 127.0.0.1"},
		{args: "worker list --proxy=", says: "--proxy is empty"},
		{args: "worker chg a --remove-command=", says: "--remove-command is empty"},
		{args: "dead purge --all --worker=", says: "--worker is empty"},
		{args: "bench --rows=", says: "--rows is empty"},
		{args: "help wroker", says: "did you mean worker?"},
		{args: "help worker lst", says: "did you mean list?"},
		{args: "completion bsh", says: "did you mean bash or zsh?"},
		{args: "worker list --proxy 127.0.0.1:99999", says: "port 99999 is out of range"},
		{args: "agent -a x --proxy 127.0.0.1:0", says: "port 0 is out of range"},
		{args: "dev x", says: `"x" is one argument too many`},
		{args: "agent -p 0", says: "give one with -a"},
		{args: "agent -r 0", says: "-r 0"},
		{args: "agent -pr ftp://x", says: `scheme "ftp"`},
		{args: "alarm silence add --all --why x --for -1h", says: "--for -1h0m0s; use more than 0, such as 2h"},
		{args: "alarm silence add --all --why x --for 0s", says: "--for 0s; use more than 0"},
		{args: "chaos --seed -1", says: `--seed: "-1" is out of range; use a whole number from 0 on`},
		{args: "chaos --seed x", says: `--seed: "x" is not a whole number; use a whole number from 0 on`},
		{args: "agent --user x", says: "--user needs --password too"},
	} {
		var stdout, stderr bytes.Buffer
		code := execute(strings.Fields(c.args), newTestApp(&stdout, &stderr, c.env))
		if code != exitUsage || !strings.Contains(stderr.String(), c.says) || !strings.Contains(stderr.String(), "--help`") {
			t.Errorf("damrey %s: code %d, want %d and %q, got:\n%s", c.args, code, exitUsage, c.says, &stderr)
		}
		if stdout.Len() > 0 {
			t.Errorf("damrey %s wrote to stdout: %s", c.args, &stdout)
		}
	}
}

// What only the proxy knows to be wrong is a wrong call as well.
func TestRoot_WhatTheProxyRefusesIsAWrongCall(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{http.StatusUnprocessableEntity: exitUsage, http.StatusNotFound: exitFailed, http.StatusServiceUnavailable: exitFailed} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"detail":"in -5m: no"}`)
		}))
		var stdout, stderr bytes.Buffer
		line := []string{"schedule", "add", "x", "t", "--from", "a", "--in", "-5m", "--proxy", srv.URL}
		if code := execute(line, newTestApp(&stdout, &stderr, nil)); code != want || !strings.Contains(stderr.String(), "in -5m: no") {
			t.Errorf("%d ends with %d, not %d: %s", status, code, want, &stderr)
		}
		srv.Close()
	}
}

func TestRoot_EveryFlagNamesItsVariable(t *testing.T) {
	t.Parallel()
	root := newRoot(newTestApp(new(bytes.Buffer), new(bytes.Buffer), nil))
	eachVerb(root, func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if want := "(env " + envName(f.Name) + ")"; f.Name != "help" && strings.Count(f.Usage, want) != 1 {
				t.Errorf("%s --%s: %q", cmd.CommandPath(), f.Name, f.Usage)
			}
		})
	})
}

func TestEnvironment_SetsFlagsThatWereNotGiven(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DAMREY_OUTPUT": "json", "DAMREY_LOG_LEVEL": ""}
	var stdout, stderr bytes.Buffer
	if code := execute([]string{"version"}, newTestApp(&stdout, &stderr, env)); code != exitOK || !strings.HasPrefix(stdout.String(), "{") {
		t.Errorf("code %d, %s%s", code, &stdout, &stderr)
	}
	stdout.Reset()
	if code := execute([]string{"version", "-o", "text"}, newTestApp(&stdout, &stderr, env)); code != exitOK || !strings.HasPrefix(stdout.String(), "damrey ") {
		t.Errorf("a flag must win: code %d, %s%s", code, &stdout, &stderr)
	}
}

func TestEnvironment_GivesWayToAFlagThatExcludesIt(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DAMREY_FILE": "nosuch.yaml", "DAMREY_PROXY": "127.0.0.1:1"}
	var stdout, stderr bytes.Buffer
	code := execute([]string{"worker", "add", "a", "--mpu", "3"}, newTestApp(&stdout, &stderr, env))
	if code != exitFailed || !strings.Contains(stderr.String(), "cannot reach the proxy") {
		t.Errorf("code %d, %s", code, &stderr)
	}
}

func TestSeedFlags_AreRewrittenForTheAgentOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"agent -p 1 -a x:1 -pr y:2 -r 3", "agent -p 1 -a x:1 --proxy y:2 -r 3"},
		{"agent -pr=y:2", "agent --proxy=y:2"},
		{"agent --proxy y:2", "agent --proxy y:2"},
		{"proxy -pr y:2", "proxy -pr y:2"},
		{"", ""},
	} {
		if got := rewriteSeedFlags(strings.Fields(c.in)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%q became %q", c.in, got)
		}
	}
}
