package netem

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

func pushedPair(t *testing.T, p Params) (client, server net.Conn, l *Link) {
	t.Helper()
	l = NewLink(p, 1)
	client, server = pair(t, l, nil)
	client.(interface{ Pushed() }).Pushed()
	return client, server, l
}

// TestPushedWritesCrossTogether writes again and again without waiting: all set out at once, and come in their order.
func TestPushedWritesCrossTogether(t *testing.T) {
	const rtt, n = 200 * time.Millisecond, 250 // one after another they would take 25 s
	client, server, _ := pushedPair(t, Params{RTT: rtt})
	began := time.Now()
	for i := range n {
		if _, err := client.Write([]byte{byte(i), byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	wrote := time.Since(began)
	got := make([]byte, 2*n)
	if _, err := io.ReadFull(server, got); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	for i := range n {
		if got[2*i] != byte(i) || got[2*i+1] != byte(i) {
			t.Fatalf("they come as %v", got)
		}
	}
	if wrote > n*rtt/5 {
		t.Errorf("%d writes took %v: each waits until it has crossed", n, wrote)
	}
	if took < rtt/2 || took > n*rtt/5 {
		t.Errorf("they have come after %v, want half of %v and no multiple of it", took, rtt)
	}
}

func TestPushedWritesAreHeldUpByAnEndThatDoesNotRead(t *testing.T) {
	client, server, _ := pushedPair(t, Params{RTT: time.Millisecond})
	if err := client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	part, sent := bytes.Repeat([]byte("x"), 1<<20), 0
	for {
		n, err := client.Write(part)
		if sent += n; err != nil {
			break // the deadline
		}
		if sent > 256<<20 {
			t.Fatal("all is taken that nobody reads")
		}
	}
	_ = server.Close() // the client's end is closed by pair
}

func TestPushedWritesMeetTheEnd(t *testing.T) {
	client, server, _ := pushedPair(t, Params{RTT: time.Millisecond})
	_ = server.Close() // its peer is to find out
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := client.Write([]byte("x")); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("writes succeed for ever")
		}
	}
}
