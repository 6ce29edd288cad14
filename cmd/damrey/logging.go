package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
)

// logFlags say what is logged and how it looks. Logs go to stderr.
type logFlags struct {
	level  enum
	format enum
}

func (l *logFlags) add(flags *pflag.FlagSet) {
	l.level, l.format = newEnum("info", "debug", "warn", "error"), newEnum("auto", "text", "json")
	flags.Var(&l.level, "log-level", "the least that is logged")
	flags.Var(&l.format, "log-format", "auto is text on a terminal and json elsewhere")
}

func (l *logFlags) logger(to io.Writer) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(l.level.value)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("--log-level: %w", err)
	}
	if l.format.value == "text" || l.format.value == "auto" && isTerminal(to) {
		to = zerolog.ConsoleWriter{Out: to, TimeFormat: time.TimeOnly, NoColor: !isTerminal(to) || os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(zerolog.SyncWriter(to)).Level(level).With().Timestamp().Logger(), nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
