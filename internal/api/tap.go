package api

import "github.com/damrey/damrey/internal/report"

// TapCopy is a line of GET /v1/tap, which is server-sent events.
type TapCopy = report.Copy
