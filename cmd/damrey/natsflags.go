package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/damrey/damrey"
)

// natsFlags say how to reach NATS. What is left empty is looked up as the `nats` command does.
type natsFlags struct{ config damrey.ConnectConfig }

// add adds all of them, for verbs that are clients of a NATS server.
func (n *natsFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&n.config.URL, "nats", "", "`URL` of NATS: an agent's or the broker's "+
		"(default: NATS_URL, the selected nats context, nats://127.0.0.1:4222)")
	n.addLogin(flags)
	flags.StringVar(&n.config.NKey, "nkey", "", "`FILE` of an nkey seed for NATS")
	flags.StringVar(&n.config.Token, "token", "", "token for NATS")
	flags.StringVar(&n.config.CA, "ca", "", "`FILE` of the certificate authority of NATS")
	flags.StringVar(&n.config.Cert, "cert", "", "`FILE` of the certificate to show to NATS")
	flags.StringVar(&n.config.Key, "key", "", "`FILE` of the key of --cert")
	cmd.MarkFlagsRequiredTogether("cert", "key")
}

func (n *natsFlags) addLogin(flags *pflag.FlagSet) {
	flags.StringVar(&n.config.Creds, "creds", "", "`FILE` of credentials for NATS")
	flags.StringVar(&n.config.User, "user", "", "user for NATS")
	flags.StringVar(&n.config.Password, "password", "", "password for NATS")
}

// check refuses a --nats that cannot be meant; what is looked up elsewhere is checked when it is used.
func (n *natsFlags) check() error {
	if n.config.URL == "" {
		return nil
	}
	for server := range strings.SplitSeq(n.config.URL, ",") {
		if err := checkServer("--nats", strings.TrimSpace(server), false, "nats://127.0.0.1:4222", "nats", "tls", "ws", "wss"); err != nil {
			return err
		}
	}
	return nil
}

// addPrefix adds the flag that chooses the fabric.
func addPrefix(flags *pflag.FlagSet, prefix *string) {
	flags.StringVar(prefix, "prefix", damrey.DefaultPrefix, "name of the fabric: the first token of its subjects")
}

func checkPrefix(prefix string) error {
	if err := damrey.CheckPrefix(prefix); err != nil {
		return usageError("--prefix: %w", err)
	}
	return nil
}
