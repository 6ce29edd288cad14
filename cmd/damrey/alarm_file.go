package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/syntax"
	"github.com/damrey/damrey/proxyd"
)

// alarmFlags are what a proxy is told of alarms at its start.
type alarmFlags struct {
	file     string
	webhooks []string
}

func (f *alarmFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.file, "alarms", "", "`FILE` of rules of alarms and webhooks that are stored at the start, as `damrey alarm rules export` writes it")
	flags.StringArrayVar(&f.webhooks, "webhook", nil, "`ADDRESS` that alarms may be posted to, a URL prefix, a host or an IP address or network; those of this "+
		"machine and of private networks must be named by their address. May be repeated; none without it")
}

// fill reads the file.
func (f *alarmFlags) fill(a *app, cfg *proxyd.Config) error {
	cfg.Webhooks = f.webhooks
	if f.file == "" {
		return nil
	}
	settings, err := a.readAlarmSettings(f.file)
	if err != nil {
		return usageError("--alarms: %w", err)
	}
	cfg.Alarms = &settings
	return nil
}

// readAlarmSettings reads rules and webhooks, JSON or YAML. "-" is stdin.
func (a *app) readAlarmSettings(path string) (settings api.AlarmSettings, err error) {
	data, err := a.readFile(path)
	if err != nil {
		return settings, err
	}
	raws, err := splitDocuments(filepath.Ext(path), data)
	if err != nil {
		return settings, fmt.Errorf("%s: %w", path, err)
	}
	if len(raws) != 1 {
		return settings, fmt.Errorf("%s: one document with rules and webhooks is needed, and %d are there", path, len(raws))
	}
	decoder := json.NewDecoder(bytes.NewReader(raws[0]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&settings); err != nil && err != io.EOF {
		return settings, fmt.Errorf("%s: %s; look at what `damrey alarm rules export` writes", path, syntax.Words(raws[0], err))
	}
	return settings, nil
}
