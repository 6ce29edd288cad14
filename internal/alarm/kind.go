package alarm

import (
	"time"

	"github.com/damrey/damrey/internal/api"
)

// Severities, from harmless to bad.
const (
	Info     = "info"
	Warning  = "warning"
	Critical = "critical"
)

// Severities are all there are, the worst at the end.
var Severities = []string{Info, Warning, Critical}

// kind is what a rule looks at, and how it comes.
type kind struct {
	name     string
	meaning  string
	severity string
	limits   []limit
	hold     time.Duration // before it fires
	keep     time.Duration // before it is resolved
	// known says whether the facts are enough to judge; else what was true stays true, and what was not stays so.
	known func(Facts) bool
	// dark says that the facts do not tell of what one alarm is about, which stays as it was; nil: known says all.
	dark func(f Facts, about string) bool
	find func(Rule, Facts) []Finding
}

// limit is one number that a rule compares with.
type limit struct {
	name     string
	meaning  string
	standard float64
	from, to float64
	whole    bool
}

// Finding is one thing that is wrong now.
type Finding struct {
	About        string // a worker, an instance, an agent, a route …
	Worker       string // that it is about, if any
	Text         string
	Do, Hint     string // a command line as it can be typed, and in words what else to know of it, such as on which machine
	Value, Limit float64
}

// found is a finding with the rule that found it and what that says for its worker.
type found struct {
	Finding
	rule string
	terms
}

func (f found) id() string { return f.rule + ":" + f.About }

// alarm is the document of a finding.
func (f found) alarm() api.Alarm {
	return api.Alarm{
		ID: f.id(), Rule: f.rule, Severity: f.severity, About: f.About, Worker: f.Worker,
		Text: f.Text, Do: f.Do, Hint: f.Hint, Value: f.Value, Limit: f.Limit,
	}
}

const second, minute = time.Second, time.Minute

func share(name, of string, standard float64) limit {
	return limit{name: name, meaning: of, standard: standard, from: 0.0001, to: 1}
}

func atLeast(standard float64, what string) limit {
	return limit{name: "least", meaning: what, standard: standard, from: 1, to: 1e9, whole: true}
}

func heard(f Facts) bool { return !f.Since.IsZero() }

// kinds are all rules, in the order in which people read them.
var kinds = []kind{
	{
		name: "no_instance", meaning: "routes lead to a worker that is registered and not paused, and no instance of it is ready", severity: Critical,
		hold: 15 * second, keep: 30 * second, known: Facts.watched, find: findNoInstance,
	},
	{
		name: "instance_lost", meaning: "instances of a worker fell silent without leaving, and none was started instead", severity: Warning,
		limits: []limit{{name: "seconds", meaning: "how long ago the last beat may be to count", standard: 300, from: 15, to: 900}},
		hold:   0, keep: 30 * second, known: heard, find: findLost,
	},
	{
		name: "agent_lost", meaning: "an agent does not renew the claim of its name", severity: Critical,
		limits: []limit{{name: "hours", meaning: "how long ago the last renewal may be to count", standard: 24, from: 0.01, to: 8760}},
		hold:   5 * second, keep: 30 * second, known: func(f Facts) bool { return f.Agents != nil }, find: findAgents,
	},
	{
		name: "no_worker", meaning: "a route leads to a worker that is not registered", severity: Warning,
		hold: 15 * second, keep: 15 * second, known: func(f Facts) bool { return f.Nodes != nil }, find: findNoWorker,
	},
	{
		name: "errors", meaning: "many messages of a route fail", severity: Warning,
		limits: []limit{share("share", "failed of those handled", 0.05), atLeast(5, "messages that must have failed within the window")},
		hold:   30 * second, keep: minute, known: heard, find: findErrors,
	},
	{
		name: "timeouts", meaning: "the budget of many messages of a route is used up", severity: Warning,
		limits: []limit{share("share", "timeouts of those handled and timed out", 0.02), atLeast(3, "timeouts within the window")},
		hold:   30 * second, keep: minute, known: heard, find: findTimeouts,
	},
	{
		name: "slow", meaning: "the slowest of a hundred messages of a route stay too long, or much longer than in the last hour", severity: Warning,
		limits: []limit{
			{name: "p99_ms", meaning: "99th percentile in milliseconds", standard: 2500, from: 0.001, to: 3.6e6},
			{name: "times", meaning: "of the last hour's 99th percentile; 0: it is not compared", standard: 5, from: 0, to: 1000},
			{name: "floor_ms", meaning: "below it nothing is compared with the last hour", standard: 100, from: 0, to: 3.6e6},
			atLeast(20, "messages within the window"),
		},
		hold: minute, keep: 2 * minute, known: heard, find: findSlow,
	},
	{
		name: "busy", meaning: "instances refuse messages since their queue is full", severity: Warning,
		limits: []limit{share("share", "refused of those handled and refused", 0.01), atLeast(1, "refused within the window")},
		hold:   10 * second, keep: minute, known: heard, find: findBusy,
	},
	{
		name: "backlog", meaning: "much is stored for a worker", severity: Warning,
		limits: []limit{
			share("fill", "of max_messages or max_bytes of the worker", 0.85),
			{name: "messages", meaning: "messages stored; 0: they are not counted", standard: 100_000, from: 0, to: 1e12, whole: true},
		},
		hold: 30 * second, keep: minute, known: heard, find: findBacklog,
	},
	{
		name: "backlog_age", meaning: "the oldest message stored for a worker is old", severity: Warning,
		limits: []limit{{name: "seconds", meaning: "age of the oldest", standard: 300, from: 1, to: 3.2e7}},
		hold:   30 * second, keep: minute, known: heard, find: findBacklogAge,
	},
	{
		name: "dead_letters", meaning: "there are dead letters of a route", severity: Warning,
		limits: []limit{{name: "letters", meaning: "dead letters of the route", standard: 1, from: 1, to: 1e12, whole: true}},
		hold:   0, keep: 30 * second, known: heard, find: findDead,
	},
	{
		name: "undelivered", meaning: "messages of a route reach nobody", severity: Warning,
		limits: []limit{atLeast(1, "undelivered within the window")},
		hold:   0, keep: minute, known: heard, find: findUndelivered,
	},
	{
		name: "clock_skew", meaning: "the clock of a machine is not that of the others", severity: Warning,
		limits: []limit{{name: "seconds", meaning: "how far it is away", standard: 2, from: 0.05, to: 86400}},
		hold:   30 * second, keep: minute, known: heard, find: findSkew,
	},
	{
		name: "disk", meaning: "the broker's disk is nearly full, or cannot be written", severity: Critical,
		limits: []limit{share("fill", "used of what there is", 0.9)},
		hold:   10 * second, keep: minute, known: func(f Facts) bool { return f.Disks != nil }, dark: Facts.darkDisk, find: findDisk,
	},
	{
		name: "replica", meaning: "copies of streams at a server of the cluster are behind, or the server is away or hangs", severity: Warning,
		limits: []limit{{name: "lag", meaning: "messages that a copy may be behind", standard: 1000, from: 1, to: 1e12, whole: true}},
		hold:   30 * second, keep: minute, known: func(f Facts) bool { return f.Replicas != nil }, find: findReplica,
	},
}
