package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
)

// versions is what `damrey version` tells.
type versions struct {
	Version    string `json:"version"`
	Go         string `json:"go"`
	NATSServer string `json:"nats_server"`
	NATSClient string `json:"nats_client"`
	Platform   string `json:"platform"`
}

func newVersionCommand(a *app) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of its parts",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := readVersions()
			if !out.forPeople() {
				return out.print(a.stdout, v)
			}
			_, err := fmt.Fprintf(a.stdout, "damrey %s (nats-server %s, nats.go %s, %s, %s)\n",
				v.Version, v.NATSServer, v.NATSClient, v.Go, v.Platform)
			return err
		},
	}
	out.add(cmd, "text")
	return cmd
}

// readVersions takes the parts' versions from what the linker noted; "unknown" when it did not.
func readVersions() versions {
	v := versions{
		Version: damrey.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		NATSServer: "unknown", NATSClient: "unknown",
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/nats-io/nats-server/v2":
			v.NATSServer = dep.Version
		case "github.com/nats-io/nats.go":
			v.NATSClient = dep.Version
		}
	}
	return v
}
