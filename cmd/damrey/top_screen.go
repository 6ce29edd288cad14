package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/damrey/damrey/internal/api"
)

// topScreen draws the list again and again, and takes keys.
type topScreen struct {
	app    *app
	flags  *topFlags
	list   topList
	sorted int // column; below 0: what fails first
	filter string
	typing bool // a filter is being typed
}

// rawTerminal is how the terminal was before keys were read from it, for whoever ends the process in a hurry.
var rawTerminal atomic.Pointer[func()]

func restoreTerminal() {
	if restore := rawTerminal.Swap(nil); restore != nil {
		(*restore)()
	}
}

// run draws until ctx ends or q is pressed. A proxy that is away for a moment is said, and asked again.
func (s *topScreen) run(ctx context.Context, client *api.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys, err := s.readKeys()
	if err != nil {
		return err
	}
	defer restoreTerminal()
	shots := s.keepAsking(ctx, client)
	got, ok := <-shots
	if ok && got.err != nil {
		return got.err
	}
	for ok {
		s.draw(got)
		select {
		case got, ok = <-shots:
		case key := <-keys:
			if s.press(key) {
				return nil
			}
		}
	}
	return nil
}

// asked is what came of one question.
type asked struct {
	n   *topShot
	err error
}

func (s *topScreen) keepAsking(ctx context.Context, client *api.Client) <-chan asked {
	shots := make(chan asked)
	go func() {
		defer close(shots)
		for next := time.Now(); waitUntil(ctx, next); next = time.Now().Add(topEvery) {
			n, err := s.list.ask(ctx, client)
			select {
			case shots <- asked{n, err}:
			case <-ctx.Done():
			}
		}
	}()
	return shots
}

// readKeys gives what is typed, one key at a time; nothing when there is no terminal.
func (s *topScreen) readKeys() (<-chan byte, error) {
	file := s.app.terminalOf()
	if file == nil {
		return nil, nil
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("read keys from the terminal: %w; --once prints one table", err)
	}
	restore := func() {
		_ = term.Restore(int(file.Fd()), before) // there is nobody left to tell
		fmt.Fprintln(s.app.stdout, "\x1b[?25h")
	}
	rawTerminal.Store(&restore)
	fmt.Fprintf(s.app.stdout, "\x1b[?25l")
	keys := make(chan byte)
	go func() { // ends with the process: a read of a terminal cannot be called off
		for one := make([]byte, 1); ; {
			if n, err := file.Read(one); err != nil || n == 0 {
				return
			}
			keys <- one[0]
		}
	}()
	return keys, nil
}

const ctrlC, enter, newline, escape, backspace = 3, '\r', '\n', 27, 127

// press is true when that ends it.
func (s *topScreen) press(key byte) (over bool) {
	if s.typing {
		switch {
		case key == enter || key == newline || key == escape || key == ctrlC:
			s.typing = false
		case key == backspace && s.filter != "":
			s.filter = s.filter[:len(s.filter)-1]
		case key >= ' ' && key < backspace:
			s.filter += string(key)
		}
		return false
	}
	switch key {
	case 'q', ctrlC:
		return true
	case 's':
		if s.sorted++; s.sorted == len(s.list.columns) {
			s.sorted = -1
		}
	case '/':
		s.typing, s.filter = true, ""
	}
	return false
}

// draw writes the whole screen in one go, so that nothing flickers.
func (s *topScreen) draw(got asked) {
	lines := s.lines(got)
	if !s.app.onTerminal() {
		fmt.Fprintln(s.app.stdout, strings.Join(lines, "\n")+"\n")
		return
	}
	if _, height := terminalSize(s.app.stdout); len(lines) > height-1 {
		lines = append(lines[:max(1, height-2)], fmt.Sprintf("… %d more; / filters", len(lines)-height+2))
	}
	fmt.Fprintf(s.app.stdout, "\x1b[H%s\x1b[K\x1b[J", strings.Join(lines, "\x1b[K\r\n"))
}

func (s *topScreen) lines(got asked) []string {
	if got.err != nil {
		return append([]string{"damrey top " + s.list.what, ""}, errorLines(got.err)...)
	}
	shot := *got.n
	shot.keep = func(func(int) bool) {}
	shown := shot.filtered(s.filter)
	shown.sort(s.sorted)
	t := shown.table(s.list, s.app.inColor())
	width, _ := terminalSize(s.app.stdout)
	t.Style().Size.WidthMax = width
	title := s.title(got.n.summary)
	if width > 0 {
		title = oneLine(title, width)
	}
	return append([]string{title, ""}, strings.Split(t.Render(), "\n")...)
}

func (s *topScreen) title(summary string) string {
	by := "what fails first"
	if s.sorted >= 0 {
		by = strings.ToLower(s.list.columns[s.sorted])
	}
	title := fmt.Sprintf("damrey top %s · by %s", s.list.what, by)
	switch {
	case s.typing:
		title += " · filter: " + s.filter + "_"
	case s.filter != "":
		title += " · filter: " + s.filter
	}
	return title + " · " + summary
}

// terminalSize is 0, 24 where nobody knows.
func terminalSize(w any) (width, height int) {
	if out, ok := w.(*outlet); ok {
		w = out.to
	}
	if file, ok := w.(*os.File); ok {
		if width, height, err := term.GetSize(int(file.Fd())); err == nil && height > 2 {
			return width, height
		}
	}
	return 0, 24
}
