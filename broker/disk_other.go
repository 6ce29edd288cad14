//go:build !linux && !darwin

package broker

import "errors"

func diskOf(string) (used, total uint64, err error) { return 0, 0, errors.ErrUnsupported }
