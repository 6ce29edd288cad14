package web_test

import (
	"os"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/browser"
)

// patience is how long a test waits for what the page asks. Nothing of it is a promise of how fast the page is.
const patience = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(browser.Run(m)) }
