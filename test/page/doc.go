// Package page looks at the page in a real Chromium while the product's own programs run: a proxy, the workers of
// examples/square with messages between them, one that fails and one that is slow.
//
//	DAMREY_SCREENSHOTS=/tmp/page go test ./test/page
package page
