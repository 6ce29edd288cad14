package proxyd

import (
	"net/netip"
	"testing"
)

func TestNotPublic_KnowsAddressesThatAreNotOutside(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address string
		public  bool
	}{
		{"8.8.8.8", true}, {"2606:4700::1111", true}, {"127.0.0.1", false}, {"127.9.9.9", false}, {"::1", false}, {"0.0.0.0", false}, {"::", false},
		{"10.0.0.1", false}, {"172.16.0.1", false}, {"172.32.0.1", true}, {"192.168.1.1", false}, {"169.254.169.254", false}, {"fe80::1", false},
		{"fd00::1", false}, {"100.64.0.1", false}, {"224.0.0.1", false}, {"ff02::1", false}, {"255.255.255.255", false}, {"0.1.2.3", false},
		{"64:ff9b::7f00:1", false}, {"2002:7f00:1::", false}, {"198.18.0.1", false},
	} {
		why := notPublic(netip.MustParseAddr(c.address))
		if (why == "") != c.public {
			t.Errorf("%s: %q", c.address, why)
		}
	}
}

func TestAllowed_LooksAtTheAddressThatIsDialed(t *testing.T) {
	t.Parallel()
	a, err := parseAllowed([]string{"hooks.example.com", "10.1.0.0/16", "http://192.168.7.7:9000/x"})
	if err != nil {
		t.Fatal(err)
	}
	for address, allowed := range map[string]bool{
		"8.8.8.8:443": true, "10.1.2.3:80": true, "192.168.7.7:1": true, "10.2.0.1:80": false, "127.0.0.1:80": false, "[::1]:80": false,
		"[::ffff:127.0.0.1]:80": false, "[::ffff:10.1.2.3]:80": true, "[fe80::1%eth0]:80": false, "nonsense": false, "name:80": false,
	} {
		if err := a.control("tcp", address, nil); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
}
