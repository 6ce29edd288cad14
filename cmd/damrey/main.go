// Command damrey is the whole product: broker, proxy, agent and the tools to look and to rewire. Each verb is one file,
// read from top to bottom: flags → Config → New → Run.
package main

import (
	"os"
	_ "time/tzdata" // time zones of schedules, where the machine has none
)

func main() {
	os.Exit(execute(os.Args[1:], &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookup: os.LookupEnv}))
}
