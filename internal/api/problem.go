package api

import (
	"fmt"
	"net/http"
	"strings"
)

// Problem is the body of every answer that is not a success, as RFC 9457 has it.
type Problem struct {
	Type     string   `json:"type,omitempty"`
	Title    string   `json:"title,omitempty"`
	Status   int      `json:"status,omitempty"`
	Detail   string   `json:"detail,omitempty"`
	Instance string   `json:"instance,omitempty"`
	Errors   []Detail `json:"errors,omitempty"`
}

// Types of problems that have an answer of their own; all others have none.
const (
	// TypeDamaged: what is stored at the name is no registration.
	TypeDamaged = "urn:damrey:problem:damaged"
	// TypeAbsent: a precondition asks for a revision of a worker that is not registered.
	TypeAbsent = "urn:damrey:problem:absent"
)

// Detail says what is wrong with one part of a request.
type Detail struct {
	// Location is a path such as body.commands[1].worker.
	Location string `json:"location,omitempty"`
	Message  string `json:"message,omitempty"`
	Value    any    `json:"value,omitempty"`
}

// Error is what the methods of Client return when the proxy answered with a problem.
type Error struct {
	// Status of the answer.
	Status int
	// Problem that came with it.
	Problem Problem
}

// Error is the problem's detail, followed by each field that is wrong unless the detail names it already.
func (e *Error) Error() string {
	p := e.Problem
	parts := make([]string, 0, 1+len(p.Errors))
	parts = append(parts, p.Detail)
	if p.Detail == "" {
		parts[0] = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	for _, d := range p.Errors {
		if !strings.Contains(p.Detail, d.Message) {
			parts = append(parts, d.Location+": "+d.Message)
		}
	}
	return strings.Join(parts, "; ")
}
