// Package chaos runs `damrey chaos` as its user does: one minute with every fault there is room for, and workers that are
// wrong, which it has to find.
package chaos
