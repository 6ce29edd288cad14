package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

const doctorHelp = `Look for what is wrong with a fabric, and say the command that mends it. It changes nothing.

  damrey doctor --proxy 10.1.2.3 --nats nats://10.1.2.3:4222
  damrey doctor --nats nats://127.0.0.1:4222 --user w --password w      what a worker's login may do
  damrey doctor -o json

It ends with 0 when nothing is an error, else with 1.`

type doctorFlags struct {
	proxy  proxyFlag
	nats   natsFlags
	prefix string
	out    output
}

func newDoctorCommand(a *app) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, with the command that mends it",
		Long:  doctorHelp,
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.nats.check(); err != nil {
				return err
			}
			if err := checkPrefix(f.prefix); err != nil {
				return err
			}
			at := fabricAt{proxy: f.proxy.address, nats: f.nats.config.URL, prefix: f.prefix}
			advise := func(line string) string { return at.in(cmd.Root(), line) }
			return f.proxy.with(func(client *api.Client) error { return a.runDoctor(cmd.Context(), client, &f, advise) })
		},
	}
	f.proxy.add(cmd)
	f.nats.add(cmd)
	addPrefix(cmd.Flags(), &f.prefix)
	f.out.add(cmd, "text")
	return cmd
}

// doctor is what the checks look at. What could not be reached is nil, and said already.
type doctor struct {
	prefix string
	client *api.Client
	fabric *api.Fabric
	table  *api.WorkerList
	nc     *nats.Conn
	js     jetstream.JetStream
	denied *denials

	unreached error     // why there is no nc
	asked     *audience // nil: nobody was
}

// check is one thing to look at.
type check struct {
	name  string
	needs func(*doctor) bool // what it cannot do without
	run   func(context.Context, *doctor) ([]finding, error)
}

// checks in the order in which what is found explains what is found later.
func checks() []check {
	proxy := func(d *doctor) bool { return d.table != nil }
	broker := func(d *doctor) bool { return d.nc != nil }
	stores := func(d *doctor) bool { return d.js != nil }
	both := func(d *doctor) bool { return d.js != nil && d.table != nil }
	return []check{
		{"proxy", nil, checkProxy},
		{"server", nil, checkBroker},
		{"domain", stores, checkDomain},
		{"login", broker, checkLogin},
		{"stores", both, checkStores},
		{"replicas", stores, checkReplicas},
		{"clocks", broker, checkClocks},
		{"fabrics", broker, checkFabrics},
		{"listeners", broker, checkListeners},
		{"streams", stores, checkStreams},
		{"agents", proxy, checkAgents},
		{"table", proxy, checkTable},
		{"workers", func(d *doctor) bool { return d.nc != nil && d.table != nil }, checkWorkers},
	}
}

// runDoctor lets advise say where a command has to look.
func (a *app) runDoctor(ctx context.Context, client *api.Client, f *doctorFlags, advise func(line string) string) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	d := &doctor{prefix: f.prefix, client: client, denied: &denials{}}
	d.connect(f.nats.config)
	defer d.close()
	report := diagnosis{Checks: []checked{}, Findings: []finding{}}
	for _, c := range checks() {
		report.add(c.name, c.look(ctx, d))
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted after the check %s", c.name)
		}
	}
	for i := range report.Findings {
		report.Findings[i].Do = advise(report.Findings[i].Do)
	}
	var err error
	if f.out.forPeople() {
		err = report.print(a.stdout, a.inColor())
	} else {
		err = f.out.print(a.stdout, report)
	}
	return errors.Join(err, report.err())
}

// look is nil when the check could not be made because of what an earlier one has said.
func (c check) look(ctx context.Context, d *doctor) *checked {
	if c.needs != nil && !c.needs(d) {
		return nil
	}
	findings, err := c.run(ctx, d)
	if err != nil {
		findings = append(findings, finding{
			Severity: warning, Where: c.name, What: "could not be looked at: " + strings.Join(errorLines(err), "; "),
			Do: "damrey doctor", Hint: "when that is well, or with a login that may do it",
		})
	}
	return &checked{Name: c.name, findings: findings}
}
