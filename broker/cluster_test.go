package broker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/damrey/damrey/broker"
)

func TestNew_RefusesABadCluster(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]broker.Config{
		"without Cluster.Name":                 {Cluster: broker.Cluster{Routes: []string{"10.1.2.3"}}},
		`--routes: 10.1.2.3:6222 stands twice`: {Cluster: broker.Cluster{Name: "c", Routes: []string{"10.1.2.3", "10.1.2.4", "nats://10.1.2.3:6222"}}, Dir: "x"},
		`--cluster is "a b"`:                   {Cluster: broker.Cluster{Name: "a b"}, Dir: "x"},
		"Dir is empty":                         {Cluster: broker.Cluster{Name: "c"}},
		`the scheme "tls"`:                     {Cluster: broker.Cluster{Name: "c", Routes: []string{"tls://h:1"}}, Dir: "x"},
		"no address":                           {Cluster: broker.Cluster{Name: "c", Routes: []string{"h:port"}}, Dir: "x"},
		"--cluster-advertise":                  {Cluster: broker.Cluster{Name: "c", AdvertiseRoutes: "10.1.2.3"}, Dir: "x"},
		"are both 6222":                        {Cluster: broker.Cluster{Name: "c"}, Dir: "x", Port: 6222},
		"Cluster.Port is 70000":                {Cluster: broker.Cluster{Name: "c", Port: 70000}, Dir: "x"},
		"--cluster-port, or -1":                {Cluster: broker.Cluster{Name: "c", Port: -2}, Dir: "x"},
		`host "[x]" of Cluster`:                {Cluster: broker.Cluster{Name: "c", Host: "[x]"}, Dir: "x"},
	} {
		_, err := broker.New(c)
		if !errors.Is(err, broker.ErrConfig) || !strings.Contains(err.Error(), text) {
			t.Errorf("says nothing of %q: %v", text, err)
		}
	}
	_, err := broker.New(broker.Config{Cluster: broker.Cluster{Name: "c", Host: "0.0.0.0"}, Dir: "x"})
	if !errors.Is(err, broker.ErrOpenListen) || !strings.Contains(err.Error(), "the other servers of the cluster") {
		t.Error(err)
	}
}

// A server of a cluster that is alone serves clients, stores nothing and says why.
func TestBroker_SaysThatAMajorityIsMissing(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Config{Name: "one", Dir: t.TempDir(), Cluster: broker.Cluster{Name: "c", Port: -1, Routes: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}}})
	start(t, b)
	flush(t, connect(t, b))
	err := b.Majority()
	if !errors.Is(err, broker.ErrMajority) || !strings.Contains(err.Error(), "1 of 3 servers here, 2 needed") {
		t.Error(err)
	}
}
