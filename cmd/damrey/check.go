package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

// Exit codes of `damrey check`, as Nagios has them.
const (
	checkOK = iota
	checkWarning
	checkCritical
	checkUnknown
)

// usageCode is where a command notes with what a wrong call of it ends.
const usageCode = "damrey_usage_code"

var checkNames = []string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

const checkHelp = `Say in one exit code whether something is wrong: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, as Nagios, Icinga and
the like have it. UNKNOWN is when the proxy cannot be asked, or does not know itself, and a wrong call.

  damrey check --proxy 10.1.2.1,10.1.2.2,10.1.2.3
  damrey check --worker bank --format text
  damrey check --format prometheus > /var/lib/node_exporter/damrey.prom

Alarms that fire count; silenced ones do not, acknowledged ones do unless --ignore-acked is given.`

// checkResult is what a check has found.
type checkResult struct {
	Status string `json:"status"`
	Code   int    `json:"code"`
	Text   string `json:"text"`
	// Firing are the alarms that count.
	Firing []api.Alarm `json:"firing"`
}

func newCheckCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var filter api.AlarmFilter
	var ignoreAcked bool
	timeout := 8 * time.Second
	format := newEnum("nagios", "json", "prometheus", "text")
	cmd := &cobra.Command{
		Use: "check", Short: "Say in one exit code whether something is wrong", Long: checkHelp, Args: exactly(),
		Annotations: map[string]string{usageCode: fmt.Sprint(checkUnknown)},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usageError("--timeout %v; use a duration such as 8s", timeout)
			}
			var result checkResult
			err := proxy.with(func(client *api.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
				defer cancel()
				filter.State = api.AlarmFiring
				list, err := client.Alarms(ctx, filter)
				if err == nil && len(list.Alarms) == 0 {
					err = known(ctx, client, filter)
				}
				if err != nil {
					result = unknownResult(err)
					return nil
				}
				result = resultOf(list.Alarms, ignoreAcked)
				if len(result.Firing) > 0 && format.value != "json" && format.value != "prometheus" {
					result.Firing = fabricOf(ctx, client, proxy.address).advised(cmd.Root(), result.Firing)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := result.print(a.stdout, format.value); err != nil {
				return &codeError{code: checkUnknown, err: err}
			}
			return result.exit()
		},
	}
	proxy.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&filter.Rule, "rule", "", "only alarms of this `RULE`")
	flags.StringVar(&filter.Worker, "worker", "", "only alarms about this `WORKER`")
	flags.BoolVar(&ignoreAcked, "ignore-acked", false, "alarms that somebody takes care of do not count")
	flags.DurationVar(&timeout, "timeout", timeout, "how long the proxy may take")
	flags.Var(&format, "format", "how the result is printed")
	return cmd
}

// known says why nothing can be wrong with a rule or a worker: there is none of this name.
func known(ctx context.Context, client *api.Client, f api.AlarmFilter) error {
	if f.Rule != "" {
		if _, err := client.AlarmRule(ctx, f.Rule); err != nil {
			return err
		}
	}
	if f.Worker == "" {
		return nil
	}
	network, err := client.Network(ctx)
	if err != nil || slices.ContainsFunc(network.Nodes, func(n api.Node) bool { return n.Name == f.Worker }) {
		return err
	}
	return fmt.Errorf("worker %s is neither in the table nor was it seen; `damrey worker list` shows those that are", oneLine(f.Worker, 64))
}

func (r checkResult) exit() error {
	if r.Code == checkOK {
		return nil
	}
	return &codeError{code: r.Code}
}

func unknownResult(err error) checkResult {
	return checkResult{Status: checkNames[checkUnknown], Code: checkUnknown, Text: strings.Join(errorLines(err), "; "), Firing: []api.Alarm{}}
}

func resultOf(alarms []api.Alarm, ignoreAcked bool) checkResult {
	r := checkResult{Firing: []api.Alarm{}}
	for _, one := range alarms {
		if one.State == api.AlarmFiring && one.Silenced == nil && (one.Acked == nil || !ignoreAcked) {
			r.Firing = append(r.Firing, one)
		}
	}
	slices.SortStableFunc(r.Firing, func(a, b api.Alarm) int { return codeOf(b.Severity) - codeOf(a.Severity) })
	if len(r.Firing) > 0 {
		r.Code = codeOf(r.Firing[0].Severity)
	}
	r.Status = checkNames[r.Code]
	r.Text = summary(r.Firing)
	return r
}

func codeOf(severity string) int {
	switch severity {
	case "critical":
		return checkCritical
	case "warning":
		return checkWarning
	}
	return checkOK
}

// severities are counted in this order.
var severities = []string{"critical", "warning", "info"}

func countOf(firing []api.Alarm, severity string) (n int) {
	for _, one := range firing {
		if one.Severity == severity {
			n++
		}
	}
	return n
}

func summary(firing []api.Alarm) string {
	if len(firing) == 0 {
		return "nothing is wrong"
	}
	var parts []string
	for _, severity := range severities {
		if n := countOf(firing, severity); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, severity))
		}
	}
	return strings.Join(parts, ", ") + ": " + firing[0].Says()
}
