package netem

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestALaneEmptiesAtItsBandwidth(t *testing.T) {
	now := time.Unix(100, 0)
	var l lane
	for i, want := range []time.Duration{100*time.Millisecond - slack, 200*time.Millisecond - slack} {
		if got := l.carry(now, 12_500, 1_000_000).Sub(now); got != want {
			t.Errorf("chunk %d of 100 kbit at 1 Mbit/s is across after %v, want %v", i, got, want)
		}
	}
	if got := l.carry(now.Add(time.Second), 12_500, 1_000_000).Sub(now); got != 1100*time.Millisecond-slack {
		t.Errorf("after a pause: %v, want 1.1s less the slack: idle time is not saved up", got)
	}
	if got := l.carry(now, 1<<30, 0); got != now {
		t.Errorf("unlimited: %v, want at once", got.Sub(now))
	}
}

func TestLossDelaysAndIsDecidedByTheSeed(t *testing.T) {
	p := Params{RTT: 40 * time.Millisecond, Loss: 0.1}
	draw := func(seed uint64) (delays []time.Duration) {
		rng := rand.New(rand.NewPCG(seed, 0))
		for range 2000 {
			delays = append(delays, penalty(rng, 10*segment, p))
		}
		return delays
	}
	a, b := draw(1), draw(1)
	if !slices.Equal(a, b) {
		t.Error("the same seed gave different losses")
	}
	if slices.Equal(a, draw(2)) {
		t.Error("another seed gave the same losses")
	}
	hit, timeouts := 0, 0
	for _, d := range a {
		if d > 0 {
			hit++
		}
		if d >= minRTO {
			timeouts++
		}
	}
	if share := float64(hit) / 2000; share < 0.61 || share > 0.69 { // 1-0.9^10 = 0.651
		t.Errorf("%.3f of ten-segment flights were late, want about 0.651", share)
	}
	if share := float64(timeouts) / 2000; share < 0.08 || share > 0.12 {
		t.Errorf("%.3f of flights waited for a timeout, want about 0.1: those whose last segment was lost", share)
	}
	if penalty(rand.New(rand.NewPCG(1, 0)), 1000, Params{RTT: time.Second}) != 0 {
		t.Error("a link without loss delayed")
	}
}

func pathOf(l *Link) Path {
	if l == nil {
		return nil
	}
	return Path{l}
}

// pair connects two ends across links; nil leaves an end bare.
func pair(t *testing.T, dial, listen *Link) (client, server net.Conn) {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := Listen(raw, func(netip.Addr) Path { return pathOf(listen) })
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	var d net.Dialer
	client, err = Dial(context.Background(), pathOf(dial), func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", ln.Addr().String())
	})
	if err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return client, server
}

// exchange sends a byte and waits for its echo.
func exchange(t *testing.T, client, server net.Conn) time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		var b [1]byte
		if _, err := io.ReadFull(server, b[:]); err != nil {
			t.Error(err)
		}
		if _, err := server.Write(b[:]); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	began := time.Now()
	b := []byte{1}
	if _, err := client.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, b); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestEachTurnTakesOneRTTAtEitherEnd(t *testing.T) {
	const rtt = 30 * time.Millisecond
	for name, end := range map[string]bool{"dialling end": true, "accepting end": false} {
		t.Run(name, func(t *testing.T) {
			link := NewLink(Params{RTT: rtt}, 1)
			began := time.Now()
			var client, server net.Conn
			if end {
				client, server = pair(t, link, nil)
			} else {
				client, server = pair(t, nil, link)
			}
			exchange(t, client, server)
			if took := time.Since(began); took < 2*rtt {
				t.Errorf("connecting and the first turn took %v, want at least two RTTs of %v", took, rtt)
			}
			if took := exchange(t, client, server); took < rtt {
				t.Errorf("a turn took %v, want at least %v", took, rtt)
			}
			link.Set(Params{})
			fastest := time.Hour
			for range 20 {
				fastest = min(fastest, exchange(t, client, server))
			}
			if fastest >= rtt {
				t.Errorf("after the RTT was removed a turn still takes %v", fastest)
			}
		})
	}
}

func TestBandwidthIsSharedByTheConnectionsOfALink(t *testing.T) {
	link := NewLink(Params{Bandwidth: 80_000_000}, 1) // 10 MB/s
	const each = 500_000
	began := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		client, server := pair(t, link, nil)
		wg.Go(func() {
			if _, err := client.Write(make([]byte, each)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := io.ReadFull(server, make([]byte, each)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < 100*time.Millisecond-slack {
		t.Errorf("1 MB over 10 MB/s took %v, want at least 100 ms less the slack", took)
	}
}

func TestADeadlineEndsADelayAndLosesNothing(t *testing.T) {
	client, server := pair(t, nil, NewLink(Params{RTT: time.Hour}, 1))
	if _, err := client.Write([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	link := server.(*conn).path[0]
	if err := server.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := server.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read = %d, %v, want the deadline", n, err)
	}
	link.Set(Params{})
	server.(*conn).due = time.Now()
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(buf[:2]); n != 2 || err != nil || string(buf[:2]) != "ke" {
		t.Fatalf("Read = %q, %v, want the first half", buf[:n], err)
	}
	if n, err := server.Read(buf); string(buf[:n]) != "pt" || err != nil {
		t.Fatalf("Read = %q, %v, want the second half", buf[:n], err)
	}
}

func TestADeadlineThatMovesIntoThePastWakesAReader(t *testing.T) {
	client, server := pair(t, nil, NewLink(Params{RTT: time.Hour}, 1))
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := server.Read(make([]byte, 1))
		done <- err
	}()
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v, want the deadline", err)
	}
}

func TestCloseEndsADelay(t *testing.T) {
	client, server := pair(t, nil, NewLink(Params{RTT: time.Hour}, 1))
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := server.Read(make([]byte, 1))
		done <- err
	}()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("Read after Close gave no error")
	}
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = Dial(ctx, Path{NewLink(Params{RTT: time.Hour}, 1)}, func(ctx context.Context) (net.Conn, error) {
		return net.Dial("tcp", ln.Addr().String())
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial = %v, want its context's end", err)
	}
}

func TestLostDatagramsAreGone(t *testing.T) {
	raw, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	link := NewLink(Params{Loss: 1}, 1)
	pc := Datagrams(raw, func(netip.Addr) Path { return Path{link} })
	defer pc.Close()
	peer, err := net.Dial("udp", raw.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if _, err := pc.WriteTo([]byte("lost"), peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	link.Set(Params{})
	if _, err := pc.WriteTo([]byte("kept"), peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := peer.Read(buf); err != nil || string(buf[:n]) != "kept" {
		t.Errorf("the peer read %q, %v, want the second datagram alone", buf[:n], err)
	}
}

// TestMeasure prints what acceptance asks for; it runs with CDNLAB_MEASURE=1.
func TestMeasure(t *testing.T) {
	if os.Getenv("CDNLAB_MEASURE") == "" {
		t.Skip("set CDNLAB_MEASURE=1 to measure the precision of the emulation")
	}
	client, server := pair(t, nil, NewLink(Params{RTT: 40 * time.Millisecond}, 1))
	exchange(t, client, server)
	var turns []time.Duration
	for range 100 {
		turns = append(turns, exchange(t, client, server))
	}
	slices.Sort(turns)
	t.Logf("40 ms RTT: median of 100 turns %v, p95 %v", turns[50], turns[95])
	if turns[50] < 40*time.Millisecond || turns[50] > 42*time.Millisecond {
		t.Errorf("median %v, want 40 ms ± 2 ms", turns[50])
	}
	for _, bandwidth := range []int64{10e6, 100e6, 1e9} {
		client, server := pair(t, nil, NewLink(Params{Bandwidth: bandwidth}, 1))
		size := bandwidth / 8 * 2 // two seconds' worth
		began := time.Now()
		go func() { _, _ = io.CopyN(server, zeros{}, size) }()
		if _, err := io.CopyN(io.Discard, client, size); err != nil {
			t.Fatal(err)
		}
		got := float64(size) * 8 / time.Since(began).Seconds()
		t.Logf("%d Mbit/s: got %.1f", bandwidth/1e6, got/1e6)
		if got < 0.95*float64(bandwidth) || got > 1.05*float64(bandwidth) {
			t.Errorf("%d Mbit/s: got %.1f, want within 5 %%", bandwidth/1e6, got/1e6)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
