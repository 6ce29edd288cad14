package api

import (
	"context"
	"net/http"
)

// Schedules lists what is sent later, oldest first. Whoever wants all goes on with After set to the list's Next until
// that is 0.
func (c *Client) Schedules(ctx context.Context, f ScheduleFilter) (ScheduleList, error) {
	var list ScheduleList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "schedules"}, query: f.query(), into: &list})
	return list, err
}

// AddSchedule stores a schedule. The same again changes nothing and is no error; 409 when another has its id.
func (c *Client) AddSchedule(ctx context.Context, s NewSchedule) (Schedule, error) {
	var stored Schedule
	_, err := c.call(ctx, call{method: http.MethodPost, path: []string{"v1", "schedules"}, body: s, into: &stored})
	return stored, err
}

// DeleteSchedule removes a schedule or takes back a delayed message. 404 when nothing waits under the id.
func (c *Client) DeleteSchedule(ctx context.Context, id string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: []string{"v1", "schedules", id}})
	return err
}
