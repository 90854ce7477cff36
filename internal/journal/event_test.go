package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var fullPurge = Event{Seq: 300, Time: 1_700_000_000_000_000_000, Kind: Purge, Site: "www.cdn.test", Scope: ScopeKey, Value: "product-1", Soft: true, Who: "alice"}
var fullPush = Event{Seq: 1 << 40, Time: -1, Kind: Push, Site: "www.cdn.test", Value: "/a.bin", Version: `"v1"`, Size: 10 << 20, To: "tokyo", Who: "bob"}

var sampleEvents = []Event{
	fullPurge, fullPush,
	{Kind: Purge, Scope: ScopeAll},
	{Seq: 1, Kind: Publish, Site: "a", Value: "/"},
	{Seq: 2, Time: 5, Kind: Purge, Scope: ScopePrefix, Value: "/\x00\xff"},
	{Seq: 3, Kind: Publish, Site: "a", Value: strings.Repeat("x", MaxText-1)},
	{Seq: 1<<64 - 1, Time: -1, Kind: Push, Size: 1<<63 - 1, Site: "s", Value: "v", Version: "e", To: "t", Who: strings.Repeat("w", MaxText-4)},
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	var stream []byte
	for _, e := range sampleEvents {
		if err := e.check(); err != nil {
			t.Fatal(err)
		}
		stream = e.Append(stream)
	}
	rest := stream
	r := bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(stream)), 16)
	for i, want := range sampleEvents {
		got, n, err := Decode(rest)
		if err != nil || got != want {
			t.Errorf("Decode of record %d = %.200v, %v, want %.200v", i, got, err, want)
		}
		rest = rest[n:]
		if got, err = ReadEvent(r); err != nil || got != want {
			t.Errorf("ReadEvent of record %d = %.200v, %v, want %.200v", i, got, err, want)
		}
	}
	if _, _, err := Decode(rest); err != io.EOF {
		t.Errorf("Decode of nothing: %v, want EOF", err)
	}
	if _, err := ReadEvent(r); err != io.EOF {
		t.Errorf("ReadEvent at the end: %v, want EOF", err)
	}
}

func TestZeroFieldsAreLeftOut(t *testing.T) {
	e := Event{Kind: Purge, Scope: ScopeAll}
	if got, want := e.Append(nil)[recordHead:], []byte{tagKind, byte(Purge), tagScope, byte(ScopeAll)}; !bytes.Equal(got, want) {
		t.Errorf("payload = %v, want %v", got, want)
	}
}

func TestAPartOfARecordWantsMore(t *testing.T) {
	record := fullPurge.Append(nil)
	for n := 1; n < len(record); n++ {
		if _, _, err := Decode(record[:n]); err != io.ErrUnexpectedEOF {
			t.Errorf("Decode of %d of %d bytes: %v, want unexpected EOF", n, len(record), err)
		}
		if _, err := ReadEvent(bufio.NewReader(bytes.NewReader(record[:n]))); err != io.ErrUnexpectedEOF {
			t.Errorf("ReadEvent of %d of %d bytes: %v, want unexpected EOF", n, len(record), err)
		}
	}
	broken := errors.New("reset by peer")
	for _, n := range []int{0, 3, recordHead + 1} {
		r := io.MultiReader(bytes.NewReader(record[:n]), iotest.ErrReader(broken))
		if _, err := ReadEvent(bufio.NewReader(r)); err != broken {
			t.Errorf("ReadEvent of a connection that breaks after %d bytes: %v, want its error", n, err)
		}
	}
}

func TestAFlippedBitIsNoEvent(t *testing.T) {
	record := fullPush.Append(nil)
	for bit := range len(record) * 8 {
		record[bit/8] ^= 1 << (bit % 8)
		if e, _, err := Decode(record); err != ErrCorrupt && err != io.ErrUnexpectedEOF {
			t.Errorf("Decode with bit %d flipped = %v, %v", bit, e, err)
		}
		if e, err := ReadEvent(bufio.NewReader(bytes.NewReader(record))); err != ErrCorrupt && err != io.ErrUnexpectedEOF {
			t.Errorf("ReadEvent with bit %d flipped = %v, %v", bit, e, err)
		}
		record[bit/8] ^= 1 << (bit % 8)
	}
}

// withSum returns a payload as a record whose sum is right.
func withSum(payload []byte) []byte {
	record := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	record = binary.LittleEndian.AppendUint32(record, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	return append(record, payload...)
}

func TestPayloadsThatAppendDoesNotWrite(t *testing.T) {
	purge := []byte{tagKind, byte(Purge), tagScope, byte(ScopeAll)}
	if _, _, err := Decode(withSum(purge)); err != nil {
		t.Fatal(err)
	}
	for name, payload := range map[string][]byte{
		"no field":                 {},
		"no kind":                  {tagScope, byte(ScopeAll)},
		"fields out of order":      {tagScope, byte(ScopeAll), tagKind, byte(Purge)},
		"a field twice":            {tagKind, byte(Purge), tagKind, byte(Purge), tagScope, byte(ScopeAll)},
		"a field that is zero":     {tagSeq, 0, tagKind, byte(Purge), tagScope, byte(ScopeAll)},
		"a field of tag zero":      {0, 1, tagKind, byte(Purge), tagScope, byte(ScopeAll)},
		"an unknown field":         append(purge[:4:4], tagWho+1, 1, 'x'),
		"a number longer than due": {tagSeq, 0x81, 0, tagKind, byte(Purge), tagScope, byte(ScopeAll)},
		"a number cut off":         append(purge[:4:4], tagSize, 0x80),
		"a number over 64 bits":    append(purge[:4:4], tagSize, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2),
		"a tag alone":              append(purge[:4:4], tagWho),
		"a text cut off":           append(purge[:4:4], tagWho, 2, 'x'),
		"an empty text":            append(purge[:4:4], tagWho, 0),
		"a text of huge length":    append(purge[:4:4], tagWho, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
		"an unknown kind":          {tagKind, 4, tagScope, byte(ScopeAll)},
		"a kind beyond a byte":     {tagKind, 0x83, 2, tagScope, byte(ScopeAll)},
		"an unknown scope":         {tagKind, byte(Purge), tagScope, 5},
		"a scope beyond a byte":    {tagKind, byte(Purge), tagScope, 0x84, 2},
		"soft twice over":          append(purge[:4:4], tagSoft, 2),
		"a negative size":          append(purge[:4:4], tagSize, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
		"more than a record may":   bytes.Repeat([]byte("x"), maxPayload+1),
	} {
		if e, _, err := Decode(withSum(payload)); err != ErrCorrupt {
			t.Errorf("%s: Decode = %v, %v, want ErrCorrupt", name, e, err)
		}
	}
}

func TestALengthOverTheLimitIsNotWaitedFor(t *testing.T) {
	head := []byte{0, 0, 2, 0, 1, 2, 3, 4} // 128 KiB
	if _, _, err := Decode(head); err != ErrCorrupt {
		t.Errorf("Decode = %v, want ErrCorrupt", err)
	}
	if _, err := ReadEvent(bufio.NewReader(bytes.NewReader(head))); err != ErrCorrupt {
		t.Errorf("ReadEvent = %v, want ErrCorrupt", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range sampleEvents[:5] {
		record := e.Append(nil)
		f.Add(record)
		f.Add(record[recordHead:])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// Most inputs fail at the sum, so they are tried as a payload, too.
		for _, in := range [][]byte{data, withSum(data)} {
			e, n, err := Decode(in)
			r := bufio.NewReader(bytes.NewReader(in))
			if streamed, streamErr := ReadEvent(r); streamed != e || streamErr != err {
				t.Errorf("Decode(%q) = %v, %v, but ReadEvent = %v, %v", in, e, err, streamed, streamErr)
			}
			if err == nil && !bytes.Equal(e.Append(nil), in[:n]) {
				t.Errorf("Append(Decode(%q)) = %q", in[:n], e.Append(nil))
			}
		}
	})
}
