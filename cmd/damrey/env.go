package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envName is the environment variable of a flag.
func envName(flag string) string {
	return "DAMREY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// nameEnvironment appends to the help of every flag, in the whole tree, the variable it can be set with.
func nameEnvironment(cmd *cobra.Command) {
	name := func(f *pflag.Flag) { f.Usage += " (env " + envName(f.Name) + ")" }
	cmd.LocalNonPersistentFlags().VisitAll(name)
	cmd.PersistentFlags().VisitAll(name)
	for _, sub := range cmd.Commands() {
		nameEnvironment(sub)
	}
}

// readEnvironment sets the flags that were not given from their variables. An empty variable counts as unset; what may
// be repeated on the command line is separated by white space.
func (a *app) readEnvironment(cmd *cobra.Command) error {
	var wrong []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := a.lookup(envName(f.Name))
		if !ok || value == "" || f.Changed || f.Name == "help" {
			return
		}
		values := []string{value}
		if _, repeated := f.Value.(pflag.SliceValue); repeated {
			values = strings.Fields(value)
		}
		for _, v := range values {
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				wrong = append(wrong, fmt.Errorf("environment variable %s: %w", envName(f.Name), errors.Unwrap(err)))
			}
		}
	})
	return errors.Join(wrong...)
}
