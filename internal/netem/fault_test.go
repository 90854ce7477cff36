package netem

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestFaultsAddUp(t *testing.T) {
	both := Fault{Latency: 10 * time.Millisecond, Loss: 0.5, Bandwidth: 1000}.And(Fault{Latency: 5 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.5, Bandwidth: 2000, Down: true})
	want := Fault{Latency: 15 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.75, Bandwidth: 1000, Down: true}
	if both != want {
		t.Errorf("And = %+v, want %+v", both, want)
	}
	if got := (Fault{Reset: true}).And(Fault{}); got != (Fault{Reset: true}) {
		t.Errorf("And(nothing) = %+v, want the fault itself", got)
	}
	l := NewLink(Params{RTT: time.Millisecond, Bandwidth: 5000, Loss: 0.5}, 1)
	l.Break(want)
	if got, want := l.Params(), (Params{RTT: 16 * time.Millisecond, Bandwidth: 1000, Loss: 0.875}); got != want {
		t.Errorf("a broken link does %+v, want %+v", got, want)
	}
	l.Break(Fault{})
	if got, want := l.Params(), (Params{RTT: time.Millisecond, Bandwidth: 5000, Loss: 0.5}); got != want {
		t.Errorf("a mended link does %+v, want %+v", got, want)
	}
}

func TestJitterFollowsFromTheSeedAndStaysInItsBounds(t *testing.T) {
	draw := func(seed uint64) (turns []time.Duration) {
		l := NewLink(Params{RTT: time.Second}, seed)
		l.Break(Fault{Jitter: time.Second})
		for range 100 {
			turns = append(turns, l.turn())
		}
		return turns
	}
	a, b, c := draw(1), draw(1), draw(2)
	differs, low, high := false, time.Hour, time.Duration(0)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("turn %d: %v and %v from one seed", i, a[i], b[i])
		}
		differs = differs || a[i] != c[i]
		low, high = min(low, a[i]), max(high, a[i])
	}
	if !differs || low < time.Second || low > 1200*time.Millisecond || high > 2*time.Second || high < 1800*time.Millisecond {
		t.Errorf("turns from %v to %v, another seed differs: %v; want them spread over 1…2 s and other seeds to differ", low, high, differs)
	}
}

func TestALinkThatIsDownStallsConnectionsUntilItIsMended(t *testing.T) {
	link := NewLink(Params{}, 1)
	client, server := pair(t, nil, link)
	exchange(t, client, server)
	link.Break(Fault{Down: true})
	if _, err := client.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if err := server.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read over a link that is down = %d, %v, want the deadline", n, err)
	}
	if err := server.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		n, err := server.Read(buf)
		if err != nil {
			t.Error(err)
		}
		got <- string(buf[:n])
	}()
	link.Break(Fault{})
	if s := <-got; s != "held" {
		t.Errorf("after the link was mended Read gave %q, want what had been sent", s)
	}
	link.Break(Fault{Down: true})
	if err := server.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write over a link that is down = %v, want the deadline", err)
	}
}

// dialOver connects to a listener of its own that accepts everything.
func dialOver(t *testing.T, ctx context.Context, link *Link) (net.Conn, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return Dial(ctx, Path{link}, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", ln.Addr().String())
	})
}

func TestNothingConnectsOverALinkThatIsDown(t *testing.T) {
	link := NewLink(Params{}, 1)
	link.Break(Fault{Down: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := dialOver(t, ctx, link); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial = %v, want it to wait for ever", err)
	}
	done := make(chan error)
	go func() {
		c, err := dialOver(t, t.Context(), link)
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	link.Break(Fault{})
	if err := <-done; err != nil {
		t.Errorf("Dial over a mended link = %v, want a connection", err)
	}
}

func TestResetBreaksConnectionsOff(t *testing.T) {
	link := NewLink(Params{}, 1)
	client, server := pair(t, nil, link)
	exchange(t, client, server)
	read := make(chan error)
	go func() {
		_, err := server.Read(make([]byte, 1))
		read <- err
	}()
	link.Break(Fault{Reset: true})
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer's Read = %v, want a reset", err)
	}
	if err := <-read; err == nil || err == io.EOF {
		t.Errorf("the own end's Read = %v, want an error that is no end", err)
	}
	if _, err := dialOver(t, t.Context(), link); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Dial = %v, want a reset", err)
	}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := Listen(raw, func(netip.Addr) Path { return Path{link} })
	accepted := make(chan error)
	go func() {
		_, err := ln.Accept()
		accepted <- err
	}()
	c, err := net.Dial("tcp", raw.Addr().String())
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new client met %v, want a reset", err)
	}
	_ = ln.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want only the end of the listener", err)
	}
	if n := len(link.open); n != 1 {
		t.Errorf("%d connections are on the link, want the one that its owner has not closed", n)
	}
	_ = server.Close()
	if n := len(link.open); n != 0 {
		t.Errorf("%d connections are on the link after they were closed", n)
	}
}

func TestALaneMakesGoodWhatABusyMachineLost(t *testing.T) {
	link := NewLink(Params{Bandwidth: 8_000_000}, 1) // 1 MB/s
	now := time.Unix(100, 0)
	due := link.carry(now, 100_000, outward)
	woke := due.Add(60 * time.Millisecond)
	link.late(60*time.Millisecond, outward)
	if got := link.carry(woke, 100_000, outward).Sub(due); got != 100*time.Millisecond {
		t.Errorf("100 kB after a late wake-up are across %v after those before, want 100 ms: the rate holds", got)
	}
	if got := link.carry(woke, 100_000, inward).Sub(woke); got != 100*time.Millisecond-slack {
		t.Errorf("the other direction took %v, want 100 ms less the slack: it was not late", got)
	}
	for range 100 { // turns on a link that is not full
		woke = woke.Add(50 * time.Millisecond)
		link.carry(woke, 1, outward)
		link.late(10*time.Millisecond, outward)
	}
	woke = woke.Add(50 * time.Millisecond)
	if got := link.carry(woke, 100_000, outward).Sub(woke); got != 100*time.Millisecond-slack {
		t.Errorf("after late turns 100 kB took %v, want 100 ms less the slack: nothing had waited", got)
	}
}
