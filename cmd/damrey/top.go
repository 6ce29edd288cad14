package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

const topHelp = `Watch the network: a line for every worker, route or instance, again every two seconds.

  damrey top                            workers
  damrey top routes --sort p99
  damrey top instances --filter square
  damrey top routes --once -o json      one table, for programs

What fails is red and stands first, unless --sort names a column. On a terminal: q ends it, s sorts by
the next column, / asks for a filter. Rates are of the last seconds.`

// topEvery is the time between two tables.
const topEvery = 2 * time.Second

type topFlags struct {
	proxy  proxyFlag
	sort   string
	filter string
	once   bool
	out    output
}

func newTopCommand(a *app) *cobra.Command {
	var f topFlags
	cmd := &cobra.Command{
		Use:       "top [workers|routes|instances]",
		Short:     "Watch workers, routes or instances",
		Long:      topHelp,
		ValidArgs: []string{"workers", "routes", "instances"},
		Args:      oneOf("workers", "routes", "instances"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list := topLists[first(args, "workers")]
			if err := f.check(list); err != nil {
				return err
			}
			return f.proxy.with(func(client *api.Client) error {
				return a.runTop(cmd.Context(), client, &f, list)
			})
		},
	}
	f.proxy.add(cmd)
	cmd.Flags().StringVar(&f.sort, "sort", "", "`COLUMN` to sort by, the largest first (default: what fails first, then by name)")
	cmd.Flags().StringVar(&f.filter, "filter", "", "only lines that hold this `TEXT`")
	cmd.Flags().BoolVar(&f.once, "once", false, "print one table and end")
	f.out.add(cmd, "table")
	return cmd
}

func (f *topFlags) check(list topList) error {
	if !f.out.forPeople() && !f.once {
		return usageError("-o %s is of one table; type --once too", f.out.value)
	}
	if f.sort != "" && list.column(f.sort) < 0 {
		return usageError("--sort %q is no column of it; use one of %s", f.sort, list.names())
	}
	return nil
}

func (a *app) runTop(ctx context.Context, client *api.Client, f *topFlags, list topList) error {
	if f.once {
		shot, err := list.ask(ctx, client)
		if err != nil {
			return err
		}
		shot = shot.filtered(f.filter)
		if !f.out.forPeople() {
			return f.out.print(a.stdout, shot.document)
		}
		shot.sort(list.column(f.sort))
		return printTable(a.stdout, shot.table(list, a.inColor()))
	}
	ctx, release := a.untilSignal(ctx, restoreTerminal)
	defer release()
	s := &topScreen{app: a, flags: f, list: list, sorted: list.column(f.sort), filter: f.filter}
	return s.run(ctx, client)
}

// inColor: stdout is a terminal whose user has not asked for none.
func (a *app) inColor() bool {
	none, _ := a.lookup("NO_COLOR")
	return none == "" && a.onTerminal()
}

// onTerminal looks through the outlet that keeps errors.
func (a *app) onTerminal() bool {
	to := a.stdout
	if out, ok := to.(*outlet); ok {
		to = out.to
	}
	return isTerminal(to)
}

// ageText is how long ago something was.
func ageText(now, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(at))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0fm", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0fh", d.Hours())
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}

// terminalOf is stdin when it is one that keys can be read from.
func (a *app) terminalOf() *os.File {
	file, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(file) || !a.onTerminal() {
		return nil
	}
	return file
}

// noView says what to do about a proxy that does not know the question.
func noView(err error) error {
	if refused, ok := errors.AsType[*api.Error](err); ok && refused.Status == http.StatusNotFound {
		return errors.New("this proxy keeps no view of the network; it is of an older version: upgrade it, or look at the table with `damrey worker list`")
	}
	return err
}
