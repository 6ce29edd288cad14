package proxyd_test

import (
	"strings"
	"testing"

	"github.com/damrey/damrey/proxyd"
)

// A page whose name was rebound to this machine has its own name in the Host header, and cannot change that.
func TestProxy_OnLoopbackAnswersOnlyToItsOwnNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Advertise: "proxy.example", NATSURLs: []string{"nats://127.0.0.1:4222"}})
	bare := newRig(t, proxyd.Config{NATSURLs: []string{"nats://127.0.0.1:4222"}})
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "localhost", "LOCALHOST:1", "localhost.", "a.localhost:8080",
		"10.1.2.3:99", "proxy.example", "Proxy.Example:99",
	} {
		if got := r.askAs(host, "/v1/workers"); got.status != 200 {
			t.Errorf("%s: %d %s", host, got.status, got.body)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:8080", "localhost.evil.example", "xlocalhost", "127.0.0.1.nip.io", "proxy.example"} {
		for _, path := range []string{"/v1/workers", "/v1/fabric", "/healthz", "/nothing"} {
			got := bare.askAs(host, path)
			name, _, _ := strings.Cut(host, ":")
			if got.status != 421 || !strings.Contains(got.problem(t).Detail, "--advertise "+name) {
				t.Errorf("%s%s: %d %s", host, path, got.status, got.body)
			}
		}
	}
}

func TestProxy_BeyondThisMachineTakesAnyNameThatIsAHost(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{Listen: ":0", Insecure: true, NATSURLs: []string{"nats://127.0.0.1:4222"}})
	if got := r.askAs("proxy.example:8080", "/v1/fabric"); !strings.Contains(got.body, "nats://proxy.example:4222") {
		t.Error(got.body)
	}
	for _, host := range []string{"a'b", "-x", "a$b:1"} {
		if got := r.askAs(host, "/v1/fabric"); got.status != 400 {
			t.Errorf("%s: %d %s", host, got.status, got.body)
		}
	}
}
