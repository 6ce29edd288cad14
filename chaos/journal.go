package chaos

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// entry is one line of a journal: an execution of a handler that begins or ends.
type entry struct {
	ends      bool
	failed    bool   // with that end, and the message is tried again or dead
	run       string // names the execution
	stage     string
	instance  string
	at        time.Time
	received  time.Time // by the instance, which may have begun with it long after
	messageID string
	sequence  uint64 // in the stream
	id        string // of the application
	key       string
	number    int
}

const (
	letterBegin = "B"
	letterEnd   = "E"
	letterFail  = "F"
)

// write appends the entry by one write(2), which a kill -9 does not take back.
func (e entry) write(w io.Writer) error {
	letter := letterBegin
	switch {
	case e.failed:
		letter = letterFail
	case e.ends:
		letter = letterEnd
	}
	_, err := fmt.Fprintf(w, "%s %s %s %s %d %d %s %d %s %s %d\n",
		letter, e.run, e.stage, e.instance, e.at.UnixNano(), e.received.UnixNano(), e.messageID, e.sequence, e.id, e.key, e.number)
	return err
}

func parseEntry(text string) (entry, error) {
	words := strings.Fields(text)
	if len(words) != 11 || words[0] != letterBegin && words[0] != letterEnd && words[0] != letterFail {
		return entry{}, fmt.Errorf("journal: %q is no entry", text)
	}
	var numbers [4]int64
	for i, at := range []int{4, 5, 7, 10} {
		n, err := strconv.ParseInt(words[at], 10, 64)
		if err != nil {
			return entry{}, fmt.Errorf("journal: %q: %w", text, err)
		}
		numbers[i] = n
	}
	return entry{
		ends: words[0] != letterBegin, failed: words[0] == letterFail, run: words[1], stage: words[2], instance: words[3],
		at: time.Unix(0, numbers[0]), received: time.Unix(0, numbers[1]),
		messageID: words[6], sequence: uint64(numbers[2]), id: words[8], key: words[9], number: int(numbers[3]),
	}, nil
}

// readJournal gives the entries of a file; none when it is not there.
func readJournal(path string) ([]entry, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all []entry
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		e, err := parseEntry(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// execution is one call of a handler.
type execution struct {
	entry     // as it began, but for failed
	end       time.Time
	completed bool
}

// executions pairs beginnings and ends.
func executions(entries []entry) []*execution {
	var all []*execution
	byRun := make(map[string]*execution)
	for _, e := range entries {
		if !e.ends {
			x := &execution{entry: e}
			byRun[e.run] = x
			all = append(all, x)
			continue
		}
		if x := byRun[e.run]; x != nil {
			x.end, x.completed, x.failed = e.at, !e.failed, e.failed
		}
	}
	return all
}

// lastEntry of a file, false while it has none that is whole.
func lastEntry(path string) (entry, bool) {
	file, err := os.Open(path)
	if err != nil {
		return entry{}, false
	}
	defer file.Close()
	const most = 512
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return entry{}, false
	}
	tail := make([]byte, min(size, most))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil {
		return entry{}, false
	}
	lines := strings.Split(strings.TrimSuffix(string(tail), "\n"), "\n")
	e, err := parseEntry(lines[len(lines)-1])
	return e, err == nil
}
