package api

import (
	"context"
	"net/http"
	"strconv"
)

// Dead lists dead letters, oldest first. Whoever wants all goes on with After set to the list's Next until that is 0.
func (c *Client) Dead(ctx context.Context, f DeadFilter) (DeadList, error) {
	var list DeadList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "dead"}, query: f.query(), into: &list})
	return list, err
}

// DeadLetter is one dead letter, whole. 404 when there is none of this sequence.
func (c *Client) DeadLetter(ctx context.Context, sequence uint64) (DeadDetail, error) {
	var letter DeadDetail
	_, err := c.call(ctx, call{method: http.MethodGet, path: deadPath(sequence), into: &letter})
	return letter, err
}

// RetryDead sends a dead letter along today's route and removes it. 404 or 410 when it is gone; after any other refusal
// it is still there, and the problem says why.
func (c *Client) RetryDead(ctx context.Context, sequence uint64) (Retried, error) {
	var done Retried
	_, err := c.call(ctx, call{method: http.MethodPost, path: append(deadPath(sequence), "retry"), into: &done})
	return done, err
}

// EditDead changes the message of a dead letter, which gets another sequence by that. 404 when the letter is gone, 409 when
// somebody else was faster.
func (c *Client) EditDead(ctx context.Context, sequence uint64, change DeadEdit) (DeadEdited, error) {
	var done DeadEdited
	_, err := c.call(ctx, call{method: http.MethodPatch, path: deadPath(sequence), body: change, into: &done})
	return done, err
}

// PurgeDead removes a dead letter for good. 404 when it is gone.
func (c *Client) PurgeDead(ctx context.Context, sequence uint64) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: deadPath(sequence)})
	return err
}

func deadPath(sequence uint64) []string {
	return []string{"v1", "dead", strconv.FormatUint(sequence, 10)}
}
