package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/damrey/damrey"
)

// entryFlags say what an entry of the table should be.
type entryFlags struct {
	file     string
	mpu      int
	messages int64
	bytes    int64
	agent    string
	commands []string
	remove   []string
}

func (e *entryFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&e.file, "file", "f", "", "read the entries from this JSON or YAML file; - is stdin")
	flags.IntVar(&e.mpu, "mpu", 0, fmt.Sprintf("what one instance may have in flight (default %d)", damrey.DefaultMPU))
	inRange(flags, "mpu", "1 to 1000000")
	flags.StringVar(&e.agent, "agent", "", "only instances at this agent receive; '' lets instances anywhere")
	flags.StringArrayVar(&e.commands, "command", nil,
		"a route, `TYPE=WORKER[,OPTION...]` with options mpu=N, batch=N, durable or direct (default), attempts=N, backoff=1s, window=2m, key=0; '*' is every other type; may be repeated")
	flags.Int64Var(&e.messages, "max-messages", 0, "how many messages of durable routes may be stored for this worker, and ids remembered (default: no bound)")
	inRange(flags, "max-messages", "1 or more")
	flags.Int64Var(&e.bytes, "max-bytes", 0, "how many bytes of them (default: no bound)")
	inRange(flags, "max-bytes", "1 or more")
	for _, name := range []string{"mpu", "agent", "command", "max-messages", "max-bytes"} {
		cmd.MarkFlagsMutuallyExclusive("file", name)
	}
}

// check makes sure that there is either a name or a file.
func (e *entryFlags) check(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError("%q is one argument too many", args[1])
	}
	return nil
}

// source says whether the entries come from a file.
func (e *entryFlags) fromFile(args []string) (bool, error) {
	switch {
	case e.file == "" && len(args) == 0:
		return false, usageError("NAME is missing; give a worker's name, or a file with -f")
	case e.file != "" && len(args) > 0:
		return false, usageError("%q and -f %s: give a name with flags, or a file, not both", args[0], e.file)
	}
	return e.file != "", nil
}

// apply changes what the flags name and leaves the rest.
func (e *entryFlags) apply(flags *pflag.FlagSet, reg *damrey.Registration) error {
	if err := e.refuseZeros(flags); err != nil {
		return err
	}
	if flags.Changed("mpu") {
		reg.MPU = damrey.MPU(e.mpu)
	}
	if flags.Changed("agent") {
		reg.Agent = e.agent
	}
	if flags.Changed("max-messages") {
		reg.MaxMessages = damrey.Count(e.messages)
	}
	if flags.Changed("max-bytes") {
		reg.MaxBytes = damrey.Count(e.bytes)
	}
	for _, typ := range e.remove {
		if err := removeCommand(reg, typ); err != nil {
			return err
		}
	}
	named := make(map[string]string, len(e.commands))
	for _, spec := range e.commands {
		c, err := parseCommand(spec)
		if err != nil {
			return err
		}
		if before, twice := named[c.Name]; twice {
			return usageError("--command %s: type %q stands twice, in %q too; keep one", spec, c.Name, before)
		}
		named[c.Name] = spec
		setCommand(reg, c)
	}
	if err := reg.Validate(); err != nil {
		return usageError("%w", err)
	}
	return nil
}

// refuseZeros refuses limits of 0, which an entry would have for no limit at all.
func (e *entryFlags) refuseZeros(flags *pflag.FlagSet) error {
	for name, value := range map[string]int64{"mpu": int64(e.mpu), "max-messages": e.messages, "max-bytes": e.bytes} {
		if flags.Changed(name) && value == 0 {
			return usageError("--%s 0: use 1 or more, or leave it out; `damrey worker chg -f FILE` with an entry that has none takes it away", name)
		}
	}
	return nil
}

// setCommand replaces the row of a type, or adds one. A paused one stays so: only who resumes it lets it go.
func setCommand(reg *damrey.Registration, c damrey.Command) {
	for i := range reg.Commands {
		if reg.Commands[i].Name == c.Name {
			c.Paused = reg.Commands[i].Paused
			reg.Commands[i] = c
			return
		}
	}
	reg.Commands = append(reg.Commands, c)
}

func removeCommand(reg *damrey.Registration, typ string) error {
	i := slices.IndexFunc(reg.Commands, func(c damrey.Command) bool { return c.Name == typ })
	if i < 0 {
		types := make([]string, len(reg.Commands))
		for i, c := range reg.Commands {
			types[i] = c.Name
		}
		has := "it has none"
		if len(types) > 0 {
			has = "it has " + strings.Join(types, ", ")
		}
		return fmt.Errorf("--remove-command %s: %s has no command of this type; %s", typ, reg.Name, has)
	}
	reg.Commands = slices.Delete(reg.Commands, i, i+1)
	return nil
}
