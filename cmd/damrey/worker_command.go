package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/damrey/damrey"
)

// parseCommand reads TYPE=WORKER[,OPTION…].
func parseCommand(spec string) (damrey.Command, error) {
	route, options, _ := strings.Cut(spec, ",")
	typ, worker, ok := strings.Cut(route, "=")
	if !ok || typ == "" || worker == "" {
		return damrey.Command{}, usageError("--command %q: write TYPE=WORKER, such as add=add or add=add,mpu=2,batch=64 or pay=bank,durable", spec)
	}
	c := damrey.Command{Name: typ, Worker: worker}
	if options == "" {
		return c, nil
	}
	said := ""
	for option := range strings.SplitSeq(options, ",") {
		delivery := strings.TrimPrefix(option, "delivery=")
		if delivery == "durable" || delivery == "direct" {
			if said != "" {
				return c, usageError("--command %q: %s and %s; say once how it is delivered", spec, said, option)
			}
			said = option
		}
		if err := setOption(&c, spec, option); err != nil {
			return c, err
		}
	}
	return c, nil
}

func setOption(c *damrey.Command, spec, option string) error {
	key, value, hasValue := strings.Cut(option, "=")
	switch key {
	case "durable", "direct", "delivery":
		if hasValue && key != "delivery" {
			return usageError("--command %q: %s takes no value", spec, key)
		}
		return setDelivery(c, spec, strings.TrimPrefix(option, "delivery="))
	case "backoff", "window":
		d, err := time.ParseDuration(value)
		if err != nil {
			return usageError("--command %q: %s needs a duration such as 2s or 5m, not %q", spec, key, value)
		}
		if d == 0 {
			return usageError("--command %q: %s=%s is no duration to wait; use more than 0, or leave it out for the default", spec, key, value)
		}
		if key == "backoff" {
			c.Backoff = damrey.Duration(d)
		} else {
			c.Window = damrey.Duration(d)
		}
		return nil
	case "mpu", "batch", "attempts", "key":
	default:
		return usageError("--command %q: unknown option %q; known are mpu=N, batch=N, durable, direct, attempts=N, backoff=DURATION, window=DURATION and key=INDEX", spec, key)
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return usageError("--command %q: %s needs a whole number, not %q", spec, key, value)
	}
	if n == 0 && key != "key" {
		return usageError("--command %q: %s=0; use 1 or more, or leave it out for the default", spec, key)
	}
	switch key {
	case "mpu":
		c.MPU = damrey.MPU(n)
	case "batch":
		c.Batch = damrey.Batch(n)
	case "attempts":
		c.Attempts = damrey.Attempts(n)
	case "key":
		if n < 0 {
			return usageError("--command %q: key=%d is no argument's index; use 0 for the first one", spec, n)
		}
		c.Key = damrey.KeyArg(n)
	}
	return nil
}

// setDelivery reads durable or direct; direct is the default, and left out of the entry.
func setDelivery(c *damrey.Command, spec, delivery string) error {
	switch delivery {
	case "durable":
		c.Delivery = damrey.Durable
	case "direct":
		c.Delivery = ""
	default:
		return usageError("--command %q: delivery %q: use durable or direct", spec, delivery)
	}
	return nil
}
