package proxyd

import (
	"net/netip"
	"strings"
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

func mustAllow(t *testing.T, raw ...string) allowed {
	t.Helper()
	a, err := parseAllowed(raw)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAllowed_LooksAtTheAddressThatIsDialed(t *testing.T) {
	t.Parallel()
	a := mustAllow(t, "hooks.example.com", "10.1.0.0/16", "::ffff:10.3.0.0/112", "http://192.168.7.7:9000/x", "10.9.9.9:81", "http://[fd00::7]/")
	for _, c := range []struct {
		asked, address string
		allowed        bool
	}{
		{"hooks.example.com:443", "8.8.8.8:443", true},
		{"hooks.example.com:443", "10.1.2.3:443", true},
		{"hooks.example.com:443", "[::ffff:10.1.2.3]:443", true},
		{"hooks.example.com:443", "10.3.0.1:443", true},
		{"hooks.example.com:443", "10.2.0.1:443", false},
		{"hooks.example.com:443", "127.0.0.1:443", false},
		{"hooks.example.com:443", "[::1]:443", false},
		{"hooks.example.com:443", "[::ffff:127.0.0.1]:443", false},
		{"hooks.example.com:443", "[fe80::1%eth0]:443", false},
		{"hooks.example.com:9000", "192.168.7.7:9000", false}, // a URL opens no address for a name
		{"192.168.7.7:9000", "192.168.7.7:9000", true},
		{"192.168.7.7:9001", "192.168.7.7:9001", false},
		{"192.168.7.7:80", "192.168.7.7:80", false},
		{"[::ffff:192.168.7.7]:9000", "192.168.7.7:9000", false},
		{"192.168.7.7:9000", "192.168.7.8:9000", false},
		{"10.9.9.9:81", "10.9.9.9:81", true},
		{"10.9.9.9:82", "10.9.9.9:82", false},
		{"[fd00::7]:80", "[fd00::7]:80", true},
		{"[fd00::7]:81", "[fd00::7]:81", false},
		{"x:1", "nonsense", false},
		{"x:1", "name:80", false},
	} {
		if err := a.reach(c.asked, c.address); (err == nil) != c.allowed {
			t.Errorf("%s at %s: %v", c.asked, c.address, err)
		}
	}
}

func TestAllowed_AURLOpensNothingBesidesItself(t *testing.T) {
	t.Parallel()
	local := []string{"http://127.0.0.1:19500/hooks/"}
	for _, c := range []struct {
		allowed []string
		url     string
		ok      bool
	}{
		{local, "http://127.0.0.1:19500/hooks/", true},
		{local, "http://127.0.0.1:19500/hooks", true},
		{local, "http://127.0.0.1:19500/hooks/a/b?c=d", true},
		{local, "HTTP://127.0.0.1:19500/hooks/a", true},
		{local, "http://127.0.0.1:19501/hooks/", false},
		{local, "http://127.0.0.1/hooks/", false},
		{local, "https://127.0.0.1:19500/hooks/", false},
		{local, "http://[::ffff:127.0.0.1]:19500/hooks/", false},
		{local, "http://[::ffff:7f00:1]:19500/hooks/", false},
		{local, "http://[::1]:19500/hooks/", false},
		{local, "http://localhost:19500/hooks/", false},
		{local, "http://127.0.0.1.:19500/hooks/", false},
		{local, "http://127.1:19500/hooks/", false},
		{local, "http://2130706433:19500/hooks/", false},
		{local, "http://0x7f000001:19500/hooks/", false},
		{local, "http://127.0.0.1:019500/hooks/", false},
		{local, "http://127.0.0.1:19500/", false},
		{local, "http://127.0.0.1:19500/hooksx", false},
		{local, "http://127.0.0.1:19500/hooks/../admin", false},
		{local, "http://127.0.0.1:19500/hooks/./a", false},
		{local, "http://127.0.0.1:19500/hooks/%2e%2e/admin", false},
		{local, "http://127.0.0.1:19500/hooks/%2E./admin", false},
		{local, "http://127.0.0.1:19500/hooks/%252e%252e/admin", false},
		{local, "http://127.0.0.1:19500/hooks/..%2fadmin", false},
		{local, "http://127.0.0.1:19500/hooks/..%5cadmin", false},
		{local, "http://127.0.0.1:19500/hooks/..\\admin", false},
		{local, "http://127.0.0.1:19500/hooks/..;/admin", false},
		{local, "http://127.0.0.1:19500/hooks//a", false},
		{local, "http://127.0.0.1:19500//hooks/", false},
		{local, "http://127.0.0.1:19500/hooks%2f..%2fadmin", false},
		{local, "http://127.0.0.1:19500@10.0.0.1/hooks/", false},
		{local, "http://10.0.0.1/@127.0.0.1:19500/hooks/", false},
		{local, "http://me:pw@127.0.0.1:19500/hooks/", false},
		{local, "http://127.0.0.1:19500\\@10.0.0.1/hooks/", false},
		{local, "http:127.0.0.1:19500/hooks/", false},
		{local, "//127.0.0.1:19500/hooks/", false},
		{local, "ftp://127.0.0.1:19500/hooks/", false},
		{local, "http://127.0.0.1:19500/hooks/#a", false},
		{[]string{"https://Hooks.Example.com/d"}, "https://hooks.EXAMPLE.com:443/d", true},
		{[]string{"https://hooks.example.com:443/d"}, "https://hooks.example.com/d/", true},
		{[]string{"https://hooks.example.com/d"}, "https://hooks.example.com:8443/d", false},
		{[]string{"https://hooks.example.com/d"}, "https://hooks.example.com./d", false},
		{[]string{"https://hooks.example.com/d"}, "https://hooks.example.com.evil.org/d", false},
		{[]string{"https://hooks.example.com/d"}, "https://x.hooks.example.com/d", false},
		{[]string{"hooks.example.com:8443"}, "http://hooks.example.com:8443/any", true},
		{[]string{"hooks.example.com:8443"}, "https://hooks.example.com/any", false},
		{[]string{"127.0.0.1:19500"}, "http://127.0.0.1:19501/", false},
		{[]string{"127.0.0.1"}, "http://127.0.0.1:19501/", true},
		{[]string{"127.0.0.1"}, "https://[::ffff:127.0.0.1]:1/", true},
		{[]string{"::ffff:127.0.0.1"}, "http://127.0.0.1:1/", true},
		{[]string{"127.0.0.0/8"}, "http://127.9.9.9:1/", true},
		{[]string{"::1"}, "http://[::1]:1/", true},
		{[]string{"::1"}, "http://127.0.0.1:1/", false},
		{[]string{"http://[0:0::1]:1/"}, "http://[::1]:1/", true},
		{[]string{"http://[::1]:1/"}, "http://[::1]:2/", false},
		{[]string{"http://[fe80::1]/"}, "http://[fe80::1%25eth0]/", false},
		{[]string{"fe80::1"}, "http://[fe80::1%25eth0]/", false},
	} {
		if _, err := mustAllow(t, c.allowed...).check(c.url); (err == nil) != c.ok {
			t.Errorf("%s for %v: %v", c.url, c.allowed, err)
		}
	}
}

func TestAllowed_RefusesWhatIsNoPlace(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"http://h/a/../b", "http://h/%2e%2e/", "http://me@h/", "ftp://h/", "fe80::1%eth0", "h/path", "http://*/", ""} {
		if a, err := parseAllowed([]string{text}); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

// Nobody is told how to open the address where a cloud gives out credentials.
func TestAllowed_DoesNotAdviseLinkLocalAddresses(t *testing.T) {
	t.Parallel()
	a := mustAllow(t, "hooks.example.com")
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]"} {
		if _, err := a.check("http://" + host + "/latest/"); err == nil || strings.Contains(err.Error(), "--webhook") {
			t.Errorf("%s: %v", host, err)
		}
		if err := a.reach("hooks.example.com:80", host+":80"); err == nil || strings.Contains(err.Error(), "--webhook") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := a.check("http://10.0.0.1/"); err == nil || !strings.Contains(err.Error(), "--webhook http://10.0.0.1/") {
		t.Error(err)
	}
}
