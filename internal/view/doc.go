// Package view keeps what a proxy has heard of its fabric in the last while: instances and their states, what went along
// each route, what is stored, and what happened. It is pure: beats, the table and the time are given to it. Its memory is
// bounded whatever it is told.
package view
