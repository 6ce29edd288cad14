//go:build unix

// Package tell lets the programs of the fault suite say on standard output how
// they are.
package tell

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/damrey/damrey"
)

// Statistics are what SIGUSR1 asks for.
type Statistics struct {
	Goroutines int
	Heap       uint64       // bytes in use
	Stats      damrey.Stats // of a worker
}

// Run prints "ready" once, and a line of JSON for each SIGUSR1. It does not
// return.
func Run(ready <-chan struct{}, stats func() damrey.Stats) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	for {
		select {
		case <-ready:
			fmt.Println("ready")
			ready = nil
		case <-asked:
			line, err := json.Marshal(Statistics{Goroutines: runtime.NumGoroutine(), Heap: Heap(), Stats: stats()})
			if err != nil {
				line = []byte(err.Error())
			}
			fmt.Println(string(line))
		}
	}
}

// Heap is the bytes in use once all has been collected.
func Heap() uint64 {
	runtime.GC()
	runtime.GC() // what had a finalizer goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
