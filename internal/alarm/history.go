package alarm

import "time"

const (
	historyMinutes = 60
	// historyNewest are not compared with: what is slow now must not make itself typical.
	historyNewest = 5
	// historyLeast are the minutes of which something must be known.
	historyLeast  = 10
	historyRoutes = 4096
)

// History is how long messages of each route stayed in the last hour. It counts time as it is told to, so that a clock
// that jumps changes nothing.
type History struct {
	left   time.Duration // of the minute that runs
	routes map[string]*minutes
	// typical is given out with the facts until the next minute, and then made anew.
	typical map[string]float64
}

// minutes of a route, the one that runs first.
type minutes struct {
	sum, samples float64
	past         []float64 // p99 of each minute with messages, 0 without; the newest first
}

// NewHistory knows nothing.
func NewHistory() *History { return &History{left: minute, routes: make(map[string]*minutes)} }

// Add takes what is true now, so long after the last time, and fills in what is typical.
func (h *History) Add(f *Facts, elapsed time.Duration) {
	for h.left -= min(max(elapsed, 0), minute); h.left <= 0; h.left += minute {
		h.turn()
	}
	f.Typical = h.typical
	for _, e := range f.Edges {
		if e.Handled == 0 || e.P99 <= 0 {
			continue
		}
		route := routeOf(e)
		m := h.routes[route]
		if m == nil {
			if len(h.routes) >= historyRoutes {
				continue
			}
			m = &minutes{}
			h.routes[route] = m
		}
		m.sum, m.samples = m.sum+e.P99, m.samples+1
	}
}

// turn ends a minute.
func (h *History) turn() {
	h.typical = make(map[string]float64, len(h.routes))
	for route, m := range h.routes {
		p99 := 0.0
		if m.samples > 0 {
			p99 = m.sum / m.samples
		}
		m.past = append([]float64{p99}, m.past[:min(len(m.past), historyMinutes-1)]...)
		m.sum, m.samples = 0, 0
		if typical := m.typical(); typical > 0 {
			h.typical[route] = typical
		}
		if m.silent() {
			delete(h.routes, route)
		}
	}
}

// silent says that there was nothing for an hour.
func (m *minutes) silent() bool {
	for _, p99 := range m.past {
		if p99 > 0 {
			return false
		}
	}
	return len(m.past) == historyMinutes
}

// typical is the median of the minutes; 0 when too few are known.
func (m *minutes) typical() float64 {
	var known []float64
	for i, p99 := range m.past {
		if i >= historyNewest && p99 > 0 {
			known = append(known, p99)
		}
	}
	if len(known) < historyLeast {
		return 0
	}
	return median(known)
}
