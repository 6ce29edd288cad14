package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

const tapHelp = `Show messages as they are handled. The instances that handle them send copies as long as somebody asks
for them, so that nobody listens on the messages' own subjects.

  damrey tap shop
  damrey tap '*' order --args            any sender; with the arguments
  damrey tap '*' --to bank --sample 1%   one in a hundred of what goes to bank
  damrey tap shop --count 10 -o json

A message is seen where it is handled, whoever sent it: also what a program without the library sends to an instance. Not
seen is what goes to a program without the library, whoever sent it, and what nobody has handled yet or at all.`

// nobodyYet is how long tap waits for a copy until it says what silence may mean.
const nobodyYet = 3 * time.Second

type tapFlags struct {
	nats   natsFlags
	prefix string
	lease  report.Lease
	sample share
	count  int
	out    output
}

func newTapCommand(a *app) *cobra.Command {
	f := tapFlags{sample: 1}
	cmd := &cobra.Command{
		Use:   "tap FROM|'*' [TYPE]",
		Short: "Show messages as they are handled",
		Long:  tapHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("FROM is missing; '*' is any")
			}
			if len(args) > 2 {
				return usageError("%q is one argument too many", args[2])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.complete(args); err != nil {
				return err
			}
			return a.runTap(cmd.Context(), &f)
		},
	}
	f.nats.add(cmd)
	flags := cmd.Flags()
	addPrefix(flags, &f.prefix)
	flags.StringVar(&f.lease.To, "to", "", "only what goes to this `WORKER`")
	flags.Var(&f.sample, "sample", "part of the messages, 1% or 0.01")
	flags.IntVar(&f.lease.Rate, "rate", 50, "how many a second one instance sends copies of at most")
	inRange(flags, "rate", "1 to 1000")
	flags.BoolVar(&f.lease.Args, "args", false, "show the arguments, each up to 1,000 characters")
	flags.IntVar(&f.count, "count", 0, "end after this many; 0 goes on until Ctrl-C")
	inRange(flags, "count", "0 or more")
	f.out.add(cmd, "text")
	return cmd
}

// complete makes the lease of what was typed.
func (f *tapFlags) complete(args []string) error {
	f.lease.From, f.lease.Type, f.lease.Sample = args[0], first(args[1:], "*"), float64(f.sample)
	for _, name := range []struct {
		what  string
		value *string
		check func(string) error
	}{{"FROM", &f.lease.From, damrey.CheckName}, {"TYPE", &f.lease.Type, damrey.CheckName}, {"--to", &f.lease.To, damrey.CheckName}} {
		switch *name.value {
		case "*":
			*name.value = ""
		case "":
			if name.what != "--to" {
				return usageError("%s is empty; '*' is any", name.what)
			}
		default:
			if err := name.check(*name.value); err != nil {
				return usageError("%s: %w", name.what, err)
			}
		}
	}
	if f.lease.Rate < 1 || f.lease.Rate > 1000 {
		return usageError("--rate %d is out of range; use 1 to 1000", f.lease.Rate)
	}
	if f.count < 0 {
		return usageError("--count %d; use 0 or more", f.count)
	}
	if err := f.nats.check(); err != nil {
		return err
	}
	return checkPrefix(f.prefix)
}

// share is a flag that takes a part of all, as 1% or 0.01.
type share float64

func (s *share) String() string { return strconv.FormatFloat(100*float64(*s), 'g', -1, 64) + "%" }
func (s *share) Type() string   { return "PART" }

func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n > 0 && n <= 1) {
		return fmt.Errorf("%q is no part of all; use one such as 1%% or 0.01", text)
	}
	*s = share(n)
	return nil
}

// runTap:  lease, every 3 s ──► instances ── copies ──► inbox ──► stdout
func (a *app) runTap(ctx context.Context, f *tapFlags) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	c := f.nats.config
	c.Name, c.Log = "damrey-tap", a.log.Level(zerolog.WarnLevel)
	nc, err := connectNow(c, setupTime, "is an agent, a proxy or `damrey dev` running there? name another server with --nats or NATS_URL")
	if err != nil {
		return err
	}
	defer nc.Close()
	t := &tap{app: a, flags: f, nc: nc}
	return t.run(ctx)
}

// tap is what came so far.
type tap struct {
	app     *app
	flags   *tapFlags
	nc      *nats.Conn
	copies  chan *nats.Msg
	seen    int
	lost    int // copies that this program was too slow for
	skipped map[string]uint64
	broken  int
}

func (t *tap) run(ctx context.Context) error {
	inbox := t.nc.NewInbox()
	t.copies = make(chan *nats.Msg, 4096)
	t.skipped = make(map[string]uint64)
	sub, err := t.nc.ChanSubscribe(inbox, t.copies)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	lease := t.flags.lease
	lease.ID, lease.Inbox = inbox[strings.LastIndexByte(inbox, '.')+1:], inbox
	data, err := json.Marshal(lease)
	if err != nil {
		return err
	}
	again := time.NewTicker(report.LeaseAgain)
	defer again.Stop()
	silence := time.NewTimer(nobodyYet)
	defer silence.Stop()
	if err := t.ask(data); err != nil {
		return fmt.Errorf("ask for copies: %w", err)
	}
	defer t.sayLosses(sub)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			t.renew(data)
			t.sayLosses(sub)
		case <-silence.C:
			t.saySilence()
		case m := <-t.copies:
			if over, err := t.take(m); over || err != nil {
				return err
			}
		}
	}
}

func (t *tap) ask(lease []byte) error {
	return t.nc.Publish(report.TapSubject(t.flags.prefix), lease)
}

// renew goes on when the connection is away: leases run out, and the next one begins anew.
func (t *tap) renew(lease []byte) {
	if err := t.ask(lease); err != nil {
		t.app.log.Warn().Err(err).Msg("copies cannot be asked for now")
	}
}

func (t *tap) take(m *nats.Msg) (over bool, err error) {
	var c report.Copy
	if json.Unmarshal(m.Data, &c) != nil {
		t.broken++
		return false, nil
	}
	t.seen++
	if c.Skipped > 0 {
		t.skipped[c.To+" "+c.Instance] += c.Skipped
	}
	if t.flags.out.forPeople() {
		_, err = fmt.Fprintln(t.app.stdout, copyText(c))
	} else {
		err = t.app.printDocument(&t.flags.out, c)
	}
	return t.seen == t.flags.count, err
}

// copyText is one line for people.
func copyText(c report.Copy) string {
	line := fmt.Sprintf("%s  %s→%s→%s", c.At.Local().Format("15:04:05.000"), oneLine(c.From, 64), oneLine(c.Type, 64), oneLine(c.To, 64))
	if c.Args != nil {
		line += "  " + oneLine(messageText(append([]string{"", ""}, c.Args...)), 200)
	}
	line += "  " + oneLine(c.Outcome, 20)
	if c.Error != "" {
		line += ": " + oneLine(c.Error, 100)
	}
	line += fmt.Sprintf("  wait %.1f ms, work %.1f ms", c.Wait, c.Work)
	if c.Hop > 0 {
		line += fmt.Sprintf(", hop %d", c.Hop)
	}
	return line + "  " + oneLine(c.Instance, 64)
}

// saySilence tells of nothing having come.
func (t *tap) saySilence() {
	if t.seen > 0 {
		return
	}
	fmt.Fprintf(t.app.stderr, "Nothing yet from %s. Either nothing goes there now, or who handles it is not seen: a program without the library,\n"+
		"an instance of an older version, another --prefix than %s. `damrey top routes` shows what flows; Ctrl-C ends this.\n", t.what(), t.flags.prefix)
}

func (t *tap) what() string {
	star := func(s string) string {
		if s == "" {
			return "*"
		}
		return s
	}
	return star(t.flags.lease.From) + "→" + star(t.flags.lease.Type) + "→" + star(t.flags.lease.To)
}

// sayLosses tells what is missing between the lines above.
func (t *tap) sayLosses(sub *nats.Subscription) {
	for who, n := range t.skipped {
		fmt.Fprintf(t.app.stderr, "%s left out %d because of --rate %d\n", oneLine(who, 130), n, t.flags.lease.Rate)
	}
	clear(t.skipped)
	if dropped, err := sub.Dropped(); err == nil && dropped > t.lost {
		fmt.Fprintf(t.app.stderr, "%d copies came faster than they could be printed; --sample 1%% asks for fewer\n", dropped-t.lost)
		t.lost = dropped
	}
	if t.broken > 0 {
		fmt.Fprintf(t.app.stderr, "%d copies could not be read; somebody else sends to this inbox\n", t.broken)
		t.broken = 0
	}
}
