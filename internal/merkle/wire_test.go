package merkle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDiffReportsABrokenWire(t *testing.T) {
	broken := errors.New("connection reset")
	local, remote := treeOf(t, setOf(0, 5000, "v1")), treeOf(t, setOf(0, 5000, "v2"))
	calls := 0
	found, stats, err := Diff(local, func(request []byte) ([]byte, error) {
		if calls++; calls == 5 {
			return nil, broken
		}
		return remote.Answer(nil, request)
	}, 1<<20)
	if !errors.Is(err, broken) || !stats.More || len(found) == 0 {
		t.Errorf("Diff = %d differences, more %v, %v, want some, more, and the wire's fault", len(found), stats.More, err)
	}
}

func TestDiffRefusesAnswers(t *testing.T) {
	parts := reply{kind: inside}
	for i := range parts.parts {
		parts.parts[i][15] = 1
	}
	answer := func(r reply) []byte { return r.append([]byte{format}) }
	foreign := entry{"foreign", "v"}
	for _, c := range []struct {
		name   string
		answer func(call int) []byte
		want   string
	}{
		{"nothing", func(int) []byte { return nil }, "ends early"},
		{"no reply", func(int) []byte { return []byte{format} }, "answers no question"},
		{"another format", func(int) []byte { return []byte{9, 0} }, "format 9 is not 1"},
		{"more replies than questions", func(int) []byte { return []byte{format, 0, 0} }, "more than 1 question"},
		{"an unknown kind", func(int) []byte { return []byte{format, 7} }, "unknown kind of reply 7"},
		{"digests that end early", func(int) []byte { return answer(parts)[:40] }, "ends early"},
		{"more entries than bytes", func(int) []byte { return []byte{format, 2, 0xff, 0xff, 0xff, 0x7f} }, "is over"},
		{"a key that ends early", func(int) []byte { return []byte{format, 2, 1, 9, 'k', 1, 'v'} }, "ends early"},
		{"an entry without version", func(int) []byte { return []byte{format, 2, 1, 1, 'k', 0} }, `key "k" has no version`},
		{"a long key", func(int) []byte {
			return answer(reply{kind: contents, entries: []entry{{strings.Repeat("k", MaxKey+1), "v"}}})
		}, "over 8192"},
		{"a long message", func(int) []byte { return make([]byte, MaxAnswer+1) }, "is over"},
		{"an entry of another range", func(call int) []byte {
			if call == 1 {
				return answer(parts)
			}
			return bytesOf(16, reply{kind: contents, entries: []entry{foreign}})
		}, `key "foreign" is not in its range`},
		{"digests without end", func(call int) []byte { return bytesOf(min(call, 2), parts) }, "the ranges do not end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			call := 0
			_, _, err := Diff(treeOf(t, setOf(0, 1000, "v1")), func([]byte) ([]byte, error) {
				call++
				return c.answer(call), nil
			}, 100)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Diff = %v, want %q", err, c.want)
			}
			if call > 100_000 {
				t.Errorf("it took %d calls", call)
			}
		})
	}
}

// TestDiffEndsWithALiar has a neighbour that knows of differences everywhere and then of none.
func TestDiffEndsWithALiar(t *testing.T) {
	parts := reply{kind: inside}
	for i := range parts.parts {
		parts.parts[i][0] = 1
	}
	_, stats, err := Diff(new(Tree), func(request []byte) ([]byte, error) {
		questions, err := decodeRequest(request)
		answer := []byte{format}
		for _, q := range questions[:min(len(questions), 200)] {
			r := parts
			if q.depth > 4 {
				r = reply{kind: same}
			}
			answer = r.append(answer)
		}
		return answer, err
	}, 10)
	if err == nil || !strings.Contains(err.Error(), "the ranges do not end") {
		t.Errorf("Diff = %v after %d round trips, want that the ranges do not end", err, stats.RoundTrips)
	}
}

func bytesOf(n int, r reply) []byte {
	b := []byte{format}
	for range n {
		b = r.append(b)
	}
	return b
}

func TestAnswerRefusesRequests(t *testing.T) {
	whole := question{}
	for _, c := range []struct {
		name    string
		request []byte
		want    string
	}{
		{"nothing", nil, "ends early"},
		{"another format", []byte{2}, "format 2 is not 1"},
		{"a range that ends early", []byte{format, 0, 1, 2}, "ends early"},
		{"a range below the deepest", append([]byte{format, maxDepth + 1}, make([]byte, 30)...), "depth 17"},
		{"a range with digits beyond its depth", append([]byte{format, 1, 0x12}, make([]byte, 16)...), "has more digits"},
		{"too many ranges", appendRequest(nil, slices.Repeat([]question{whole}, maxRanges+1)), "more than 1024 ranges"},
		{"a long message", make([]byte, MaxRequest+1), "is over"},
	} {
		if _, err := new(Tree).Answer(nil, c.request); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Answer = %v, want %q", c.name, err, c.want)
		}
	}
}

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	var questions []question
	for depth := range maxDepth + 1 {
		s := span{at: 0x123456789abcdef0, depth: depth}
		s.at &= s.mask()
		questions = append(questions, question{s, entry{"k", fmt.Sprint(depth)}.sum().digest()})
	}
	got, err := decodeRequest(appendRequest(nil, questions))
	if err != nil || !slices.Equal(got, questions) {
		t.Errorf("request read back as %v, %v, want %v", got, err, questions)
	}
}
