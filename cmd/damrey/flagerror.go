package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// rangeOf is where a flag notes what numbers it takes, for the words about those that are none.
const rangeOf = "damrey_range"

// inRange notes it. The verb checks it.
func inRange(flags *pflag.FlagSet, name, text string) {
	_ = flags.SetAnnotation(name, rangeOf, []string{text}) // fails only for a flag that is not there
}

// flagError puts what pflag says about a value into a reader's words; the rest it says well.
func flagError(err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("--%s: %w", wrong.GetFlag().Name, valueError(wrong))
}

func valueError(wrong *pflag.InvalidValueError) error {
	f := wrong.GetFlag()
	var what string
	switch f.Value.Type() {
	case "int", "int64", "uint", "uint64":
		what = "a whole number"
	case "float64":
		what = "a number"
	case "duration":
		what = "a duration such as 5s or 1m30s"
	case "bool":
		return fmt.Errorf("%q is neither true nor false", wrong.GetValue())
	default: // ours, which say it themselves
		return errors.Unwrap(wrong)
	}
	limits := "one such as " + f.DefValue
	if note := f.Annotations[rangeOf]; len(note) > 0 {
		limits = note[0]
	}
	problem := "is not " + what
	n, err := strconv.ParseInt(wrong.GetValue(), 10, 64)
	if errors.Is(errors.Unwrap(wrong), strconv.ErrRange) || err == nil && n < 0 && strings.HasPrefix(f.Value.Type(), "uint") {
		problem = "is out of range"
	}
	return fmt.Errorf("%q %s; use %s", wrong.GetValue(), problem, limits)
}

// Where cobra notes the groups of flags, each as their names.
const (
	exclusiveGroups = "cobra_annotation_mutually_exclusive"
	togetherGroups  = "cobra_annotation_required_if_others_set"
)

// checkGroups is cobra's ValidateFlagGroups in words that name two flags, or the variables that they came from.
func (a *app) checkGroups(cmd *cobra.Command) error {
	var wrong error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if wrong != nil || !f.Changed {
			return
		}
		for _, group := range f.Annotations[exclusiveGroups] {
			for name := range strings.FieldsSeq(group) {
				if name != f.Name && cmd.Flags().Changed(name) {
					wrong = usageError("%s and %s exclude each other; give one of them", a.nameOf(f.Name), a.nameOf(name))
					return
				}
			}
		}
		for _, group := range f.Annotations[togetherGroups] {
			for name := range strings.FieldsSeq(group) {
				if !cmd.Flags().Changed(name) {
					wrong = usageError("%s needs --%s too", a.nameOf(f.Name), name)
					return
				}
			}
		}
	})
	return wrong
}

// nameOf is the flag, or the variable that set it.
func (a *app) nameOf(flag string) string {
	if slices.Contains(a.fromEnv, flag) {
		return envName(flag)
	}
	return "--" + flag
}

// mayBeEmpty is the one flag to which the empty text means something: not pinned any more.
const mayBeEmpty = "agent"

// refuseEmpty refuses a flag that was given with nothing: a variable that is not set must not make a script do something
// else than it says. An empty environment variable counts as unset and never gets here.
func refuseEmpty(cmd *cobra.Command) error {
	var empty []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		isEmpty := f.Value.Type() == "string" && f.Value.String() == ""
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values := list.GetSlice()
			isEmpty = len(values) == 0 || slices.Contains(values, "")
		}
		if isEmpty && f.Name != mayBeEmpty {
			empty = append(empty, f.Name)
		}
	})
	if len(empty) == 0 {
		return nil
	}
	f := cmd.Flags().Lookup(empty[0])
	if list, ok := f.Value.(pflag.SliceValue); ok && len(list.GetSlice()) > 1 {
		return usageError("an empty name in --%s; leave it out", f.Name)
	}
	return usageError("--%s is empty; give a value, or leave the flag out%s", f.Name, defaultText(f))
}

func defaultText(f *pflag.Flag) string {
	if f.DefValue == "" || f.DefValue == "[]" {
		return ""
	}
	return " for " + f.DefValue
}
