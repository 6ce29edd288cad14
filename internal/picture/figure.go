package picture

import (
	"fmt"
	"strconv"
	"strings"
)

// Rate is messages in a second, for people.
func Rate(n float64) string {
	switch {
	case n == 0:
		return "-"
	case n < 99.95:
		return strconv.FormatFloat(n, 'f', 1, 64) + "/s"
	case n < 9_999.5:
		return strconv.FormatFloat(n, 'f', 0, 64) + "/s"
	}
	return strconv.FormatFloat(n/1000, 'f', 0, 64) + "k/s"
}

// Share is a part of one in percent.
func Share(n float64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatFloat(100*n, 'f', 1, 64) + " %"
}

// Millis is a time given in milliseconds.
func Millis(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 9.95:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 9_999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

// Age is a time given in seconds.
func Age(seconds float64) string {
	switch {
	case seconds == 0:
		return "-"
	case seconds < 99.95:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + " s"
	case seconds < 7_200:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds < 172_800:
		return fmt.Sprintf("%.0f h", seconds/3600)
	}
	return fmt.Sprintf("%.0f days", seconds/86_400)
}

// Count is a number of things; none is a dash.
func Count(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

// plain keeps what somebody else wrote from moving the cursor.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
