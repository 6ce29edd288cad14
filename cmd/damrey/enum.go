package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// enum is a flag that takes one of a few words. The first is the default.
type enum struct {
	value   string
	allowed []string
}

func newEnum(allowed ...string) enum { return enum{value: allowed[0], allowed: allowed} }

func (e *enum) String() string { return e.value }
func (e *enum) Type() string   { return strings.Join(e.allowed, "|") }

func (e *enum) Set(s string) error {
	if !slices.Contains(e.allowed, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(e.allowed, ", "))
	}
	e.value = s
	return nil
}

// complete offers the words to the shell.
func (e *enum) complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return e.allowed, cobra.ShellCompDirectiveNoFileComp
}
