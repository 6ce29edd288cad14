package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// writtenBlock is a block as this version of nats-server writes it, with headers, without, and with messages removed.
func writtenBlock(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		m := &nats.Msg{Subject: fmt.Sprint("s.", i), Data: make([]byte, i)}
		if i%2 == 0 {
			m.Header = nats.Header{"N": {fmt.Sprint(i)}}
		}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := stream.SecureDeleteMsg(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	block, err := os.ReadFile(filepath.Join(dir, "jetstream", "$G", "streams", "S", "msgs", "1.blk"))
	if err != nil {
		t.Fatal(err)
	}
	return block
}

// This is nats-server's own format. When it changes, rollBack judges nothing any more, and this test says so.
func TestSoundLength_ReadsWhatTheServerWrites(t *testing.T) {
	t.Parallel()
	block := writtenBlock(t)
	if n, err := soundLength("S", 1, block); n != len(block) || err != nil || n < 500 {
		t.Fatalf("%d of %d bytes are sound, %v", n, len(block), err)
	}
	if n, _ := soundLength("S", 2, block); n != 0 {
		t.Errorf("as another block %d bytes are sound", n)
	}
	if n, _ := soundLength("other", 1, block); n != 0 {
		t.Errorf("as another stream's %d bytes are sound", n)
	}
	// What is before the damage stays sound, and nothing is read beyond what is there. The lengths of headers are hashed nowhere.
	unseen := 0
	for at := range block {
		block[at] ^= 0xff
		n, err := soundLength("S", 1, block)
		if err != nil {
			t.Fatal(err)
		}
		if n > at {
			unseen++
		}
		block[at] ^= 0xff
		if n, err := soundLength("S", 1, block[:at]); err != nil || n > at {
			t.Fatalf("cut off at %d, %d bytes are sound, %v", at, n, err)
		}
	}
	if unseen > 10*headersLength {
		t.Errorf("%d bytes may be wrong and nobody sees it, of %d", unseen, len(block))
	}
}
