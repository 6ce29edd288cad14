package alarm

import (
	"slices"
	"strings"

	"github.com/damrey/damrey/internal/shell"
)

// line is a command of damrey with names as its arguments, as a shell takes it.
func line(verb string, names ...string) string {
	words := []string{"damrey", verb}
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "-") }) {
		words = append(words, "--") // else it would be taken for a flag
	}
	for _, name := range names {
		words = append(words, shell.Word(name))
	}
	return strings.Join(words, " ")
}
