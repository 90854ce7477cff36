package distribution

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"cdnlab/internal/journal"
)

func TestFramesComeAsTheyWere(t *testing.T) {
	var b []byte
	payloads := []string{"", "x", strings.Repeat("y", 5000), strings.Repeat("z", maxFrame)}
	for i, p := range payloads {
		b = appendFrame(b, byte('a'+i), []byte(p))
	}
	br := bufio.NewReaderSize(bytes.NewReader(b), 16)
	room := make([]byte, 64)
	for i, p := range payloads {
		if kind, got, err := readFrame(br, room); err != nil || kind != byte('a'+i) || string(got) != p {
			t.Errorf("frame %d is %c with %d bytes, %v, want %c with %d", i, kind, len(got), err, 'a'+i, len(p))
		}
	}
	if _, _, err := readFrame(br, room); err != io.EOF {
		t.Errorf("behind them: %v, want io.EOF", err)
	}
	for _, n := range []int{1, frameHead - 1, frameHead} {
		if _, _, err := readFrame(bufio.NewReader(bytes.NewReader(b[frameHead:][:n])), room); err == nil {
			t.Errorf("a frame that breaks off behind %d bytes is taken", n)
		}
	}
	if _, _, err := readFrame(bufio.NewReader(strings.NewReader("E\xff\x00\x00\x00")), room); !errors.Is(err, errFrame) {
		t.Errorf("a frame that is too long: %v, want errFrame", err)
	}
	e := journal.Event{Kind: journal.Purge, Scope: journal.ScopeURL, Value: strings.Repeat("v", journal.MaxText)}
	if n := len(e.Append(nil)); n > maxFrame {
		t.Errorf("the longest event has %d bytes, a frame %d at most", n, maxFrame)
	}
}

func TestReportsComeAsTheyWere(t *testing.T) {
	for _, r := range []report{
		{Node: "a"},
		{Node: "paris-1", Via: "eu-1", Turn: 9, At: journal.Position{Epoch: 1 << 63, Seq: 5}, Beat: 1 << 60, Pending: 3, Open: packOpen([]journal.Seq{4, 5, 1 << 40}), Received: 1 << 40, Gone: true},
		{Node: strings.Repeat("n", maxName), Via: strings.Repeat("v", maxName), Beat: -1},
	} {
		kind, payload, err := readFrame(bufio.NewReader(bytes.NewReader(r.append(nil))), nil)
		if err != nil || kind != kindReport {
			t.Fatalf("%+v comes as %c, %v", r, kind, err)
		}
		if got, err := parseReport(payload); err != nil || got != r {
			t.Errorf("parseReport = %+v, %v, want %+v", got, err, r)
		}
	}
}

func FuzzFrames(f *testing.F) {
	at := journal.Position{Epoch: 3, Seq: 4}
	e := purgeOf(5)
	f.Add(appendBeat(appendFrame(appendHello(nil, at), kindEvent, e.Append(nil)), beat{6, 5}))
	f.Add(appendFrame(appendHello(nil, at), kindEvent, []byte("no record")))
	f.Add([]byte("H\x00\x00\x00\x10"))
	f.Add([]byte("E\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sink := &notes{}
		feed := newFeed("main", "paris-1", newClock().Now)
		feed.sink = sink
		br, room := bufio.NewReader(bytes.NewReader(b)), make([]byte, 64)
		last := journal.Position{}
		for {
			kind, payload, err := readFrame(br, room)
			if err != nil {
				return
			}
			if len(payload) > maxFrame {
				t.Fatalf("a frame of %d bytes", len(payload))
			}
			err = feed.take(kind, payload, true)
			now := feed.Applied()
			if kind == kindEvent && err == nil && now.Seq > last.Seq+1 {
				t.Fatalf("%v follows %v", now, last)
			}
			if feed.Claimed() != now {
				t.Fatalf("%v is claimed, %v applied", feed.Claimed(), now)
			}
			last = now
		}
	})
}

func FuzzReport(f *testing.F) {
	r := report{Node: "paris-1", Via: "eu-1", Turn: 9, At: journal.Position{Epoch: 1, Seq: 5}, Beat: 7, Gone: true}
	f.Add(r.append(nil)[frameHead:])
	f.Add([]byte("\x02"))
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReport(b)
		if err != nil {
			return
		}
		if again := r.append(nil)[frameHead:]; !bytes.Equal(again, b) {
			t.Fatalf("%x is read as %+v, which is %x", b, r, again)
		}
	})
}
