package main

import "io"

// outlet is stdout, and keeps the first error of writing to it: a verb whose result did not get out has failed, whoever
// wrote it, cobra's help included.
type outlet struct {
	to  io.Writer
	err error
}

func (o *outlet) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}
