package api

import "time"

// AlarmState is where an alarm stands.
type AlarmState string

// The states of an alarm.
const (
	AlarmPending  AlarmState = "pending" // true, but not for long enough
	AlarmFiring   AlarmState = "firing"
	AlarmResolved AlarmState = "resolved" // no longer true for long enough; kept for a day
)

// AlarmList is GET /v1/alarms.
type AlarmList struct {
	Alarms []Alarm `json:"alarms" nullable:"false" doc:"Firing ones first, then pending and resolved ones; of each the worst first, then the newest"`
}

// Alarm is one thing that is wrong, or was.
type Alarm struct {
	// ID is made of the rule and what it is about, and stays the same when it fires again.
	ID       string     `json:"id" doc:"Rule and what it is about" example:"no_instance:square"`
	Rule     string     `json:"rule" doc:"Name of the rule" example:"no_instance"`
	Severity string     `json:"severity" enum:"info,warning,critical" doc:"How bad it is"`
	State    AlarmState `json:"state" enum:"pending,firing,resolved" doc:"Where it stands"`
	// About is a worker, an instance, an agent or a route.
	About  string `json:"about" doc:"What it is about" example:"entry→add→add"`
	Worker string `json:"worker,omitempty" doc:"The worker it is about, if any"`
	Text   string `json:"text" doc:"What is wrong, in words" example:"worker square: routes lead to it, and it has no instance"`
	// Do is a command line as it can be typed, but for words in capitals, which stand for what only the reader knows.
	Do   string `json:"do" doc:"What to type next: one command; words in capitals are to be replaced" example:"damrey worker run square -- COMMAND"`
	Hint string `json:"hint,omitempty" doc:"What else to know of that, in words, such as on which machine" example:"for more instances"`
	// Value and Limit are of rules that compare.
	Value float64    `json:"value,omitempty" doc:"What was measured"`
	Limit float64    `json:"limit,omitempty" doc:"What it was compared with"`
	Since time.Time  `json:"since" doc:"Since when it is in this state"`
	Fired *time.Time `json:"fired,omitempty" doc:"When it began to fire"`
	// Cleared is of one that fires: it is not true any more, and resolved when it stays so, so that what flaps fires once.
	Cleared  *time.Time `json:"cleared,omitempty" doc:"Of one that fires: since when it is not true any more"`
	Count    int        `json:"count" doc:"How often it fired in the last day"`
	Acked    *Ack       `json:"acked,omitempty" doc:"Who has seen it"`
	Silenced *Silence   `json:"silenced,omitempty" doc:"Why nobody is told of it"`
}

// Says is the text, and that it is not true any more while the alarm fires on.
func (a Alarm) Says() string {
	if a.State == AlarmFiring && a.Cleared != nil {
		return a.Text + " (not since " + a.Cleared.Local().Format(time.TimeOnly) + ")"
	}
	return a.Text
}

// Ack says that somebody takes care of an alarm.
type Ack struct {
	By  string    `json:"by" minLength:"1" maxLength:"100" doc:"Who"`
	Why string    `json:"why,omitempty" maxLength:"1000" doc:"What is done about it"`
	At  time.Time `json:"at,omitzero" readOnly:"true" doc:"When"`
}

// Silence keeps alarms from being told for a while.
type Silence struct {
	ID     string    `json:"id,omitempty" readOnly:"true" doc:"Given by the proxy"`
	Rule   string    `json:"rule,omitempty" doc:"Of this rule; empty: of any"`
	Worker string    `json:"worker,omitempty" doc:"Of this worker; empty: of any"`
	By     string    `json:"by" minLength:"1" maxLength:"100" doc:"Who"`
	Why    string    `json:"why" minLength:"1" maxLength:"1000" doc:"Why"`
	Until  time.Time `json:"until" doc:"Until when"`
}
