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

// readEnvironment sets the flags that were not given from their variables. An empty variable counts as unset, and one
// that a given flag excludes is passed over: what is typed wins. What may be repeated on the command line is separated by
// white space.
func (a *app) readEnvironment(cmd *cobra.Command) error {
	given := make(map[string]bool)
	cmd.Flags().Visit(func(f *pflag.Flag) { given[f.Name] = true })
	var wrong []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := a.lookup(envName(f.Name))
		if !ok || value == "" || f.Name == "help" || given[f.Name] || isExcluded(f, given) {
			return
		}
		values := []string{value}
		if _, repeated := f.Value.(pflag.SliceValue); repeated {
			values = strings.Fields(value)
		}
		a.fromEnv = append(a.fromEnv, f.Name)
		for _, v := range values {
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				wrong = append(wrong, environmentError(f.Name, err))
			}
		}
	})
	return errors.Join(wrong...)
}

func environmentError(flag string, err error) error {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = valueError(wrong)
	}
	return fmt.Errorf("environment variable %s: %w", envName(flag), err)
}

func isExcluded(f *pflag.Flag, given map[string]bool) bool {
	for _, group := range f.Annotations[exclusiveGroups] {
		for name := range strings.FieldsSeq(group) {
			if name != f.Name && given[name] {
				return true
			}
		}
	}
	return false
}
