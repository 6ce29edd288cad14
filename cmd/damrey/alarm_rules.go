package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

const rulesHelp = `What is looked at, with which limits, and for how long something must be true. All rules are on as they come.

  damrey alarm rules ls
  damrey alarm rules set slow --limit p99_ms=500 --for 2m --severity critical
  damrey alarm rules set no_instance --disable
  damrey alarm rules export > alarms.yaml          then edit it, overrides for some workers too
  damrey alarm rules set -f alarms.yaml`

func newAlarmRulesCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("rules", "Look at the rules of alarms and change them", rulesHelp)
	cmd.AddCommand(newRulesListCommand(a), newRulesSetCommand(a), newRulesExportCommand(a))
	return cmd
}

func newRulesListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the rules", Args: exactly(),
		Long: `List the rules. FOR is how long it must be true before an alarm fires, KEEP how long it must not be true before the
alarm is resolved; OVERRIDES are the workers for which something is different.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return proxy.with(func(client *api.Client) error {
				list, err := client.AlarmRules(cmd.Context())
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				t := newTable("NAME", "SEVERITY", "FOR", "KEEP", "LIMITS", "OVERRIDES", "MEANING")
				for _, r := range list.Rules {
					severity := r.Severity
					if !r.Enabled {
						severity = "off"
					}
					t.AppendRow(table.Row{r.Name, severity, r.For, r.Keep, orDash(limitsText(r.Limits)), orDash(overridesText(r.Overrides)), r.Meaning})
				}
				return printTable(a.stdout, t)
			})
		},
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}

func limitsText(limits map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		parts = append(parts, name+"="+strconv.FormatFloat(limits[name], 'f', -1, 64))
	}
	return strings.Join(parts, " ")
}

func overridesText(overrides []api.AlarmOverride) string {
	var workers []string
	for _, o := range overrides {
		workers = append(workers, o.Worker)
	}
	return strings.Join(workers, " ")
}

// ruleFlags say what changes of a rule.
type ruleFlags struct {
	file            string
	limits          []string
	hold, keep      time.Duration
	severity        enum
	enable, disable bool
	reset           bool
}

func newRulesSetCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	f := ruleFlags{severity: newEnum("info", "warning", "critical")}
	f.severity.value = "" // what is not given stays as it is
	cmd := &cobra.Command{
		Use:   "set NAME | -f FILE",
		Short: "Change a rule, or replace all by those of a file",
		Long: `Change a rule: only what the flags name. With -f all rules are replaced: those that are not in the file become as
they came, all of them with ` + "`rules: []`" + `. Webhooks of the file are left alone; ` + "`damrey alarm webhook`" + ` changes those.

` + rulesHelp[strings.Index(rulesHelp, "  damrey alarm rules set"):],
		Args: func(cmd *cobra.Command, args []string) error {
			if f.file != "" {
				return exactly()(cmd, args)
			}
			return exactly("NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return proxy.with(func(client *api.Client) error {
				if f.file != "" {
					return a.setRules(cmd.Context(), client, f.file)
				}
				return a.setRule(cmd, client, args[0], &f)
			})
		},
	}
	proxy.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "`FILE` of rules, - for stdin")
	flags.StringArrayVar(&f.limits, "limit", nil, "`NAME=VALUE` of a limit; may be repeated")
	flags.DurationVar(&f.hold, "for", 0, "how long it must be true before the alarm fires")
	flags.DurationVar(&f.keep, "keep", 0, "how long it must not be true before the alarm is resolved")
	flags.Var(&f.severity, "severity", "how bad it is")
	flags.BoolVar(&f.enable, "enable", false, "look at it")
	flags.BoolVar(&f.disable, "disable", false, "do not look at it")
	flags.BoolVar(&f.reset, "reset", false, "make it as it came, overrides too, before the other flags")
	for _, name := range []string{"limit", "for", "keep", "severity", "enable", "disable", "reset"} {
		cmd.MarkFlagsMutuallyExclusive("file", name)
	}
	cmd.MarkFlagsMutuallyExclusive("enable", "disable")
	return cmd
}

func (a *app) setRules(ctx context.Context, client *api.Client, file string) error {
	settings, err := a.readAlarmSettings(file)
	if err != nil {
		return err
	}
	if settings.Rules == nil {
		return fmt.Errorf("%s: there are no rules in it; write `rules: []` to make all as they came", file)
	}
	if _, err := client.PutAlarmRules(ctx, api.AlarmRuleChanges{Rules: settings.Rules}); err != nil {
		return err
	}
	switch n := len(settings.Rules); n {
	case 0:
		fmt.Fprintln(a.stdout, "all rules are as they came")
	case 1:
		fmt.Fprintln(a.stdout, "1 rule is set, the others are as they came")
	default:
		fmt.Fprintf(a.stdout, "%d rules are set, the others are as they came\n", n)
	}
	return nil
}

// setRule changes what the flags name of a rule as it is now.
func (a *app) setRule(cmd *cobra.Command, client *api.Client, name string, f *ruleFlags) error {
	change := api.AlarmRuleChange{Limits: map[string]float64{}}
	if !f.reset {
		rule, err := client.AlarmRule(cmd.Context(), name)
		if err != nil {
			return err
		}
		change = rule.Change()
		change.Name = ""
	}
	changed, err := f.apply(cmd, &change)
	if err != nil {
		return err
	}
	if !changed && !f.reset {
		return usageError("nothing to change; name it with --limit, --for, --keep, --severity, --enable, --disable or --reset")
	}
	if f.reset && !changed {
		if err := client.ResetAlarmRule(cmd.Context(), name); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s is as it came\n", oneLine(name, 40))
		return nil
	}
	stored, err := client.PutAlarmRule(cmd.Context(), name, change)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s is set: %s for %s, keep %s %s\n", stored.Name, stored.Severity, stored.For, stored.Keep, limitsText(stored.Limits))
	return nil
}

// apply puts the flags that were given into a change.
func (f *ruleFlags) apply(cmd *cobra.Command, change *api.AlarmRuleChange) (changed bool, err error) {
	given := func(name string) bool { was := cmd.Flags().Changed(name); changed = changed || was; return was }
	if given("limit") {
		if change.Limits == nil {
			change.Limits = map[string]float64{}
		}
		for _, text := range f.limits {
			name, value, ok := strings.Cut(text, "=")
			number, err := strconv.ParseFloat(value, 64)
			if err == nil && (math.IsNaN(number) || math.IsInf(number, 0)) {
				err = strconv.ErrRange
			}
			if !ok || name == "" || err != nil {
				return false, usageError("--limit %q: use NAME=VALUE with a number that is finite, such as share=0.1; `damrey alarm rules ls` shows the names", text)
			}
			change.Limits[name] = number
		}
	}
	if given("for") {
		change.For = f.hold.String()
	}
	if given("keep") {
		change.Keep = f.keep.String()
	}
	if given("severity") {
		change.Severity = f.severity.value
	}
	if given("enable") || given("disable") {
		enabled := f.enable && !f.disable
		change.Enabled = &enabled
	}
	return changed, nil
}

func newRulesExportCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var all bool
	out := output{newEnum("yaml", "json")}
	cmd := &cobra.Command{
		Use: "export", Short: "Print the rules that were changed, for `set -f` and `damrey proxy --alarms`", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return proxy.with(func(client *api.Client) error {
				list, err := client.AlarmRules(cmd.Context())
				if err != nil {
					return err
				}
				settings := struct {
					Rules []api.AlarmRuleChange `json:"rules"`
				}{[]api.AlarmRuleChange{}}
				for _, r := range list.Rules {
					if r.Changed || all {
						settings.Rules = append(settings.Rules, r.Change())
					}
				}
				return out.print(a.stdout, settings)
			})
		},
	}
	proxy.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "those that are as they came, too")
	cmd.Flags().VarP(&out.enum, "output", "o", "how the result is printed")
	return cmd
}
