// Package imports holds the table of which package may import which, as a test.
package imports
