package api

import "time"

// Health of a node or an edge of the network.
type Health string

// The healths, from good to bad.
const (
	HealthIdle     Health = "idle"     // nothing wrong, and nothing to do
	HealthOK       Health = "ok"       // messages flow
	HealthDegraded Health = "degraded" // some fail, wait long or are refused; or a node is paused
	HealthFailing  Health = "failing"  // most fail, or nobody is there to take them
	HealthUnknown  Health = "unknown"  // who is there has not been heard of yet
)

// Network is GET /v1/network: the fabric as it was in the last seconds.
type Network struct {
	// At is when this was true.
	At time.Time `json:"at" doc:"When this was true"`
	// Since is from when on the proxy has seen beats; what was before is not known.
	Since time.Time `json:"since" doc:"From when on the proxy has seen the network"`
	// Window is how many seconds rates and percentiles are of.
	Window float64 `json:"window_seconds" doc:"How many seconds rates and percentiles are of" example:"15"`
	// Nodes are workers, registered or seen, by name.
	Nodes []Node `json:"nodes" nullable:"false" doc:"Workers, registered or seen, by name"`
	// Edges are routes, declared or observed, by from, type and to.
	Edges []Edge `json:"edges" nullable:"false" doc:"Routes, declared or observed"`
	// Firing is how many alarms fire.
	Firing int `json:"firing" doc:"How many alarms fire now"`
}

// Node is a worker.
type Node struct {
	Name       string `json:"name" doc:"Name of the worker"`
	Registered bool   `json:"registered" doc:"Whether it is in the table"`
	Paused     bool   `json:"paused,omitempty" doc:"Whether it is paused"`
	Agent      string `json:"agent,omitempty" doc:"The agent its instances must be at; empty: any"`
	MPU        int    `json:"mpu,omitempty" doc:"What one instance may have in flight"`
	// Health is no better than the alarms of it that fire: failing while a critical one does, degraded while a warning does. Only
	// of one that has not been heard of yet it is not known.
	Health Health `json:"health" enum:"idle,ok,degraded,failing,unknown" doc:"How it is; no better than its firing alarms: a critical one makes it failing, a warning degraded"`
	// Why is in words what is wrong; empty when nothing is.
	Why       string  `json:"why,omitempty" doc:"What is wrong, in words"`
	Ready     int     `json:"ready" doc:"Instances that messages reach"`
	Instances int     `json:"instances" doc:"Instances of any state but left or lost"`
	InFlight  int     `json:"in_flight" doc:"Messages in handlers now"`
	Queued    int     `json:"queued" doc:"Messages that wait for room in mpu now"`
	Rate      float64 `json:"rate" doc:"Messages handled in a second"`
	Errors    float64 `json:"error_share" doc:"Share of them that failed, 0 to 1"`
	P50       float64 `json:"p50_ms" doc:"Median of how long messages of all routes to it stayed, in milliseconds"`
	P95       float64 `json:"p95_ms" doc:"95th percentile of it"`
	P99       float64 `json:"p99_ms" doc:"99th percentile of it"`
	Pending   uint64  `json:"pending" doc:"Messages that are stored for it and not handed out"`
	Alarms    int     `json:"alarms" doc:"How many alarms of it fire"`
}

// Edge is a route.
type Edge struct {
	From     string `json:"from" doc:"Worker that sends"`
	Type     string `json:"type" doc:"Type of the messages"`
	To       string `json:"to" doc:"Worker that they go to"`
	Declared bool   `json:"declared" doc:"Whether it is in the table"`
	Observed bool   `json:"observed" doc:"Whether there was traffic within the view"`
	Delivery string `json:"delivery" enum:"direct,durable" doc:"How messages are delivered"`
	Paused   bool   `json:"paused,omitempty" doc:"Whether it is paused"`
	Health   Health `json:"health" enum:"idle,ok,degraded,failing,unknown" doc:"How it is"`
	Why      string `json:"why,omitempty" doc:"What is wrong, in words"`
	Flow
	InFlight int `json:"in_flight" doc:"Messages of it in handlers of the target's instances"`
	// Durable is there for durable routes.
	Durable *Backlog `json:"durable,omitempty" doc:"What is stored, of this route and of its target; of durable routes"`
	// LastError is the text of the last failure.
	LastError string `json:"last_error,omitempty" doc:"Text of the last failure, shortened"`
}

// Flow is what went along a route in some time.
type Flow struct {
	Rate        float64 `json:"rate" doc:"Messages handled in a second"`
	Errors      float64 `json:"error_share" doc:"Share of them that failed, 0 to 1"`
	P50         float64 `json:"p50_ms" doc:"Median of how long they stayed at the target, in milliseconds"`
	P95         float64 `json:"p95_ms" doc:"95th percentile of it"`
	P99         float64 `json:"p99_ms" doc:"99th percentile of it"`
	Wait        float64 `json:"wait_ms" doc:"Mean of how long they waited there before the handler, in milliseconds"`
	Work        float64 `json:"work_ms" doc:"Mean of how long the handler took, in milliseconds"`
	Handled     uint64  `json:"handled" doc:"Messages handled, failed ones among them"`
	Failed      uint64  `json:"failed" doc:"Of them, those that failed"`
	Timeouts    uint64  `json:"timeouts" doc:"Messages whose budget was used up"`
	Busy        uint64  `json:"busy" doc:"Messages refused since the queue was full"`
	Malformed   uint64  `json:"malformed" doc:"Messages that could not be read"`
	Undelivered uint64  `json:"undelivered" doc:"Messages that nobody took"`
}

// Backlog is what is stored. The limits are the target's, so it is told on each of its routes how full it is; what waits is
// the route's own, unless default or paused routes have made more than 10,000 subjects: then it is the target's too.
type Backlog struct {
	Stored uint64 `json:"stored" doc:"Messages stored for the target, along all routes to it"`
	// Limit is the worker's max_messages; 0: none.
	Limit       uint64  `json:"limit,omitempty" doc:"The target's max_messages; left out without"`
	Fill        float64 `json:"fill" doc:"How much of the target's limit is used, of messages or bytes, 0 to 1"`
	Pending     uint64  `json:"pending" doc:"Messages of this route that are stored and not handed out; those that wait while it is paused too"`
	Unacked     uint64  `json:"unacked" doc:"Messages of this route in some instance's hand; of several routes to one target each has its share of all"`
	OldestAge   float64 `json:"oldest_age_seconds" doc:"Age of the oldest message stored for the target"`
	Redelivered uint64  `json:"redelivered" doc:"Of those in hand of the target's instances, handed out more than once"`
	Dead        uint64  `json:"dead" doc:"Dead letters of this route"`
}

// InstanceList is GET /v1/instances.
type InstanceList struct {
	At        time.Time  `json:"at" doc:"When this was true"`
	Since     time.Time  `json:"since" doc:"From when on the proxy has seen the network"`
	Instances []Instance `json:"instances" nullable:"false" doc:"By worker and id; those that left or were lost for 15 minutes more"`
}

// Instance is one running process of a worker, or one that ran.
type Instance struct {
	Worker  string    `json:"worker" doc:"Name of the worker"`
	ID      string    `json:"id" doc:"Random id, as nats micro ls shows it"`
	Version string    `json:"version" doc:"Version of the library"`
	Host    string    `json:"host" doc:"Name of its machine"`
	PID     int       `json:"pid" doc:"Its process id"`
	Agent   string    `json:"agent" doc:"The server that it is connected to"`
	Program string    `json:"program,omitempty" doc:"What runs, as far as it is known"`
	Started time.Time `json:"started" doc:"When it started"`
	Heard   time.Time `json:"heard" doc:"When its last beat came"`
	// State is a beat's, or lost.
	State    string  `json:"state" enum:"waiting,standby,ready,draining,left,lost" doc:"What it does"`
	Stale    bool    `json:"stale,omitempty" doc:"Its table may be out of date"`
	InFlight int     `json:"in_flight" doc:"Messages in handlers"`
	Queued   int     `json:"queued" doc:"Messages that wait for room in mpu"`
	Capacity int     `json:"capacity" doc:"Its mpu"`
	Skew     float64 `json:"skew_seconds" doc:"How far its clock is ahead of the proxy's"`
	Rate     float64 `json:"rate" doc:"Messages handled in a second"`
	Errors   float64 `json:"error_share" doc:"Share of them that failed, 0 to 1"`
	P99      float64 `json:"p99_ms" doc:"99th percentile of how long they stayed"`
	// Counts are since it started.
	Counts map[string]uint64 `json:"counts,omitempty" doc:"Its counters since it started"`
}

// StatsAnswer is GET /v1/stats: series of routes, of instances, or of everything together.
type StatsAnswer struct {
	From time.Time `json:"from" doc:"Begin of the first point"`
	To   time.Time `json:"to" doc:"End of the last point"`
	// Step is 5 s within the last 15 minutes, and a minute further back.
	Step   float64   `json:"step_seconds" doc:"How many seconds one point is of: 5 within the last 15 minutes, 60 further back"`
	Since  time.Time `json:"since" doc:"From when on the proxy has seen the network"`
	Series []Series  `json:"series" nullable:"false" doc:"One of each route or instance that was asked for"`
}

// Series are the points of one route, or of all routes to one instance.
type Series struct {
	From string `json:"from" doc:"Worker that sends; * for any"`
	Type string `json:"type" doc:"Type of the messages; * for any"`
	To   string `json:"to" doc:"Worker that they go to"`
	// Instance is empty but where instances were asked for.
	Instance string  `json:"instance,omitempty" doc:"Id of the instance of that worker that they went to, where instances were asked for"`
	Points   []Point `json:"points" nullable:"false" doc:"In their order; times without any are left out"`
	// LastErrors are of the last day, wherever the points begin and end; of everything together there are none.
	LastErrors []LastError `json:"last_errors,omitempty" doc:"The last failures of the route within a day, at most 5, newest first; of those that an instance tells of in one beat, the last"`
}

// LastError is a failure that an instance told of.
type LastError struct {
	At       time.Time `json:"at" doc:"When it was, by the proxy's clock"`
	Code     string    `json:"code" doc:"The fabric's code of it; error where the handler said no code" example:"error"`
	Text     string    `json:"text" doc:"What it said, shortened"`
	Instance string    `json:"instance" doc:"Id of the instance where it was"`
}

// Point is one step of a series.
type Point struct {
	At time.Time `json:"at" doc:"Begin of the step"`
	Flow
	// Wait and Work stand for those of the flow. Of a minute and of an instance they are not kept.
	Wait *float64 `json:"wait_ms,omitempty" doc:"Mean of how long they waited there before the handler, in milliseconds; left out of minutes and of instances, of which it is not kept"`
	Work *float64 `json:"work_ms,omitempty" doc:"Mean of how long the handler took, in milliseconds; left out likewise"`
	// Unfinished are the last points: beats that tell of them may still come.
	Unfinished bool `json:"unfinished,omitempty" doc:"Beats may still come that tell of this step, so its counts grow and its rate is too low; true of what was up to 6 seconds ago"`
	// Stored is at the end of the step.
	Stored uint64 `json:"stored,omitempty" doc:"Messages of the route stored at the end; of durable routes. Of everything together: all"`
	// InFlight and Queued are of instances, as the last beat in the step said, or the first one after it.
	InFlight *uint64 `json:"in_flight,omitempty" doc:"Messages in handlers, as the last beat in the step said, or the first one after it; of instances"`
	Queued   *uint64 `json:"queued,omitempty" doc:"Messages that waited for room in mpu then; of instances"`
}
