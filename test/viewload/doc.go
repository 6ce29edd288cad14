// Package viewload measures what seeing a large fabric costs its proxy: a process of its own, fed with the beats of instances
// that are only simulated. `make view-load` runs it.
package viewload
