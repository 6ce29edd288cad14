package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

const webhookHelp = `Tell alarms to others over HTTP. Which addresses may be reached is said when the proxy is started, with --webhook.

  damrey proxy --webhook https://hooks.example.com/ …
  damrey alarm webhook add pager https://hooks.example.com/damrey --severity warning --secret-file FILE
  damrey alarm webhook add am http://10.1.2.3:9000/hook --format alertmanager
  damrey alarm webhook ls
  damrey alarm webhook rm pager

With a secret each post has a header Damrey-Signature: t=TIME,v1=HEX, where HEX is HMAC-SHA256 of TIME, a dot and the
body, and TIME is in seconds since 1970. What fails is tried again for half an hour; redirects are not followed.`

func newAlarmWebhookCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("webhook", "Tell alarms to others over HTTP", webhookHelp)
	cmd.AddCommand(newWebhookListCommand(a), newWebhookAddCommand(a), newWebhookRemoveCommand(a))
	return cmd
}

func newWebhookListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the webhooks, and how telling them went", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return proxy.with(func(client *api.Client) error {
				list, err := client.Webhooks(cmd.Context())
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				return a.printWebhooks(list)
			})
		},
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}

func (a *app) printWebhooks(list api.WebhookList) error {
	if len(list.Webhooks) == 0 {
		fmt.Fprintln(a.stderr, "There are no webhooks.")
		return nil
	}
	t := newTable("NAME", "URL", "FORMAT", "SEVERITY", "SIGNED", "TOLD", "FAILED", "WAITING", "ERROR")
	for _, h := range list.Webhooks {
		row := table.Row{h.Name, oneLine(h.URL, 80), h.Format, orAny(h.Severity), h.Signed, "-", "-", "-", "-"}
		if d := h.Delivery; d != nil {
			row = append(row[:5], d.Delivered, d.Failed, d.Waiting, orDash(oneLine(d.LastError, 80)))
		}
		t.AppendRow(row)
	}
	return printTable(a.stdout, t)
}

func newWebhookAddCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var h api.Webhook
	var secretFile string
	format, severity := newEnum(api.WebhookJSON, api.WebhookAlertmanager), newEnum("info", "warning", "critical")
	cmd := &cobra.Command{
		Use: "add NAME URL", Short: "Tell alarms to a URL, or change how", Long: webhookHelp, Args: exactly("NAME", "URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h.Name, h.URL, h.Format, h.Severity = args[0], args[1], format.value, severity.value
			if secretFile != "" {
				secret, err := a.readFile(secretFile)
				if err != nil {
					return fmt.Errorf("--secret-file: %w", err)
				}
				h.Secret = strings.TrimSpace(string(secret))
				if h.Secret == "" {
					return usageError("--secret-file %s: there is no secret in it", secretFile)
				}
			}
			return proxy.with(func(client *api.Client) error {
				list, err := client.Webhooks(cmd.Context())
				if err != nil {
					return err
				}
				list = withoutWebhook(list, h.Name)
				list.Webhooks = append(list.Webhooks, h)
				if _, err := client.PutWebhooks(cmd.Context(), list); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "%s is told of alarms\n", h.Name)
				return nil
			})
		},
	}
	proxy.add(cmd)
	flags := cmd.Flags()
	flags.Var(&format, "format", "what is posted: the alarm as damrey alarm ls -o json has it, or as Alertmanager tells webhooks")
	flags.Var(&severity, "severity", "told of this severity and worse")
	flags.StringVar(&secretFile, "secret-file", "", "`FILE` of the secret that signs what is posted, - for stdin; without it, the one it has")
	return cmd
}

// withoutWebhook is what can be put back: without one of them, and without what the proxy has added.
func withoutWebhook(list api.WebhookList, name string) api.WebhookList {
	list.Allowed = nil
	list.Webhooks = slices.DeleteFunc(list.Webhooks, func(h api.Webhook) bool { return h.Name == name })
	for i := range list.Webhooks {
		list.Webhooks[i].Signed, list.Webhooks[i].Delivery = false, nil
	}
	return list
}

func newWebhookRemoveCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	cmd := &cobra.Command{
		Use: "rm NAME", Aliases: []string{"del"}, Short: "Tell alarms to a webhook no longer", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return proxy.with(func(client *api.Client) error {
				list, err := client.Webhooks(cmd.Context())
				if err != nil {
					return err
				}
				rest := withoutWebhook(list, args[0])
				if len(rest.Webhooks) == len(list.Webhooks) {
					return errors.New("there is no webhook " + oneLine(args[0], 40) + "; `damrey alarm webhook ls` shows them")
				}
				if _, err := client.PutWebhooks(cmd.Context(), rest); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "removed %s\n", args[0])
				return nil
			})
		},
	}
	proxy.add(cmd)
	return cmd
}
