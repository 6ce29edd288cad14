package proxyd

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/api"
)

// precondition is what a request asks of the entry before anything is done (RFC 9110, section 13). The entity tag of an
// entry is its revision.
type precondition struct {
	match, none tags
}

// tags is the content of one If-Match or If-None-Match header.
type tags struct {
	given     bool
	any       bool // "*"
	revisions []uint64
	raw       string
}

// joinConditions makes one line of several, which mean the same (RFC 9110, section 5.3). A condition that is there but
// empty is a problem 400: whoever sent it has lost the revision, and wants anything but no condition.
func joinConditions(header http.Header) *huma.ErrorModel {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		lines, given := header[name]
		if !given {
			continue
		}
		joined := strings.Join(lines, ", ")
		if strings.Trim(joined, ", \t") == "" {
			const message = "is empty; use what ETag said, such as \"7\", or *, or leave it out"
			return at(problem(http.StatusBadRequest, "%s %s", name, message), "header."+name, message, nil)
		}
		header.Set(name, joined)
	}
	return nil
}

// parsePrecondition reads both headers. Weak tags count as strong ones, and the quotes may be missing, because a revision
// has no two representations that could be told apart.
func parsePrecondition(ifMatch, ifNoneMatch string) (p precondition, err error) {
	if p.match, err = parseTags("If-Match", ifMatch); err == nil {
		p.none, err = parseTags("If-None-Match", ifNoneMatch)
	}
	return p, err
}

func parseTags(header, value string) (tags, error) {
	t := tags{given: value != "", any: strings.TrimSpace(value) == "*", raw: value}
	if !t.given || t.any {
		return t, nil
	}
	for tag := range strings.SplitSeq(value, ",") {
		if tag = strings.TrimSpace(tag); tag == "" { // a list may have empty elements
			continue
		}
		tag = strings.TrimPrefix(tag, "W/")
		revision, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(tag, `"`), `"`), 10, 64)
		if err != nil {
			message := "is no entity tag of this proxy; use what ETag said, such as \"7\", or *"
			return t, at(problem(http.StatusBadRequest, "%s: %s %s", header, shorten(value), message), "header."+header, message, shorten(value))
		}
		t.revisions = append(t.revisions, revision)
	}
	return t, nil
}

func (t tags) hold(current *entry) bool {
	return current != nil && (t.any || slices.Contains(t.revisions, current.revision))
}

// check is a problem 412 when a change of the entry of this name must not be made.
func (p precondition) check(name string, current *entry) error {
	switch {
	case p.match.given && current == nil:
		absent := problem(http.StatusPreconditionFailed,
			"worker %q is not registered (any more), so it is at no revision that If-Match: %s asks for; "+
				"register it with `damrey worker add`, or leave If-Match out", name, shorten(p.match.raw))
		absent.Type = api.TypeAbsent
		return absent
	case p.match.given && !p.match.hold(current):
		return problem(http.StatusPreconditionFailed,
			"worker %q is at revision %s, not %s: somebody changed it meanwhile; get it again and repeat your change on that",
			name, api.Match(current.revision), shorten(p.match.raw))
	case p.none.given && p.none.hold(current):
		return problem(http.StatusPreconditionFailed,
			"worker %q is at revision %s already, which If-None-Match: %s excludes", name, api.Match(current.revision), shorten(p.none.raw))
	}
	return nil
}
