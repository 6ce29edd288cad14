package api

import "time"

// Event is something that happened; a line of GET /v1/events, which is server-sent events with the ID as id and the kind
// as event.
type Event struct {
	// ID orders events of one proxy; sent back as Last-Event-ID it resumes after it.
	ID   string    `json:"id" doc:"Sent back as Last-Event-ID it resumes after this one"`
	At   time.Time `json:"at" doc:"When the proxy saw it"`
	Kind EventKind `json:"kind" doc:"What happened"`
	// Worker, Instance and Route say where, as far as it applies.
	Worker   string `json:"worker,omitempty" doc:"Of which worker"`
	Instance string `json:"instance,omitempty" doc:"Of which instance"`
	Route    string `json:"route,omitempty" doc:"Of which route, from→type→to"`
	// About is what else an alarm is about.
	About string `json:"about,omitempty" doc:"Of an alarm about neither worker nor route: of which agent, server, disk or the like"`
	Text  string `json:"text" doc:"What happened, in words"`
}

// EventKind is what an event is of.
type EventKind string

// The kinds of events.
const (
	EventInstanceJoined EventKind = "instance.joined"
	EventInstanceLeft   EventKind = "instance.left"
	EventInstanceLost   EventKind = "instance.lost"
	EventInstanceState  EventKind = "instance.state"
	EventAgentJoined    EventKind = "agent.joined"
	EventAgentLeft      EventKind = "agent.left"
	EventAgentLost      EventKind = "agent.lost"
	EventTableChanged   EventKind = "table.changed"
	EventUndelivered    EventKind = "undelivered"
	EventAlarmFiring    EventKind = "alarm.firing"
	EventAlarmResolved  EventKind = "alarm.resolved"
	EventBeatRefused    EventKind = "beat.refused"
	EventStreamDeleted  EventKind = "stream.deleted"
	// EventGap says that events between were forgotten or dropped.
	EventGap EventKind = "gap"
)

// EventKinds are all of them.
var EventKinds = []EventKind{
	EventInstanceJoined, EventInstanceLeft, EventInstanceLost, EventInstanceState, EventAgentJoined, EventAgentLeft, EventAgentLost,
	EventTableChanged, EventUndelivered, EventAlarmFiring, EventAlarmResolved, EventBeatRefused, EventStreamDeleted, EventGap,
}

// EventKindNames are all of them as texts.
func EventKindNames() []string {
	names := make([]string, len(EventKinds))
	for i, k := range EventKinds {
		names[i] = string(k)
	}
	return names
}
