package merkle

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
)

// FuzzAnswer sends any request: it is refused or answered within bounds, and what was read is written as the same again.
func FuzzAnswer(f *testing.F) {
	tree := treeOf(f, setOf(0, 500, "v1"))
	f.Add([]byte{format})
	f.Add(appendRequest(nil, []question{{}, {span: span{0x1200 << 48, 2}, digest: tree.Root()}, {span: span{1, maxDepth}}}))
	f.Fuzz(func(t *testing.T, request []byte) {
		answer, err := tree.Answer(nil, request)
		if err != nil {
			return
		}
		questions, err := decodeRequest(request)
		if err != nil || !bytes.Equal(appendRequest(nil, questions), request) {
			t.Errorf("request %x reads as %v, %v", request, questions, err)
		}
		replies, err := decodeAnswer(answer, len(questions))
		if err != nil || len(answer) > MaxAnswer || len(questions) > 0 && len(replies) == 0 {
			t.Errorf("an answer of %d bytes with %d replies: %v", len(answer), len(replies), err)
		}
	})
}

// FuzzDiff gets any answers, each up to its first byte, which is its length: the comparison ends, and what was read is written
// as the same again.
func FuzzDiff(f *testing.F) {
	remote, local := treeOf(f, setOf(0, 40, "v2")), treeOf(f, setOf(0, 20, "v1"))
	root, err := remote.Answer(nil, appendRequest(nil, []question{{}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slices.Concat([]byte{byte(len(root))}, root, []byte{2, format, 0}))
	f.Add([]byte{7, format, 2, 1, 1, 'k', 1, 'v', 1, 0})
	f.Fuzz(func(t *testing.T, answers []byte) {
		_, stats, _ := Diff(local, func([]byte) ([]byte, error) {
			if len(answers) == 0 {
				return nil, errShort
			}
			n := min(int(answers[0]), len(answers)-1)
			answer := answers[1 : 1+n]
			answers = answers[1+n:]
			replies, err := decodeAnswer(answer, maxRanges)
			if err != nil {
				return answer, nil
			}
			again := []byte{format}
			for _, r := range replies {
				again = r.append(again)
			}
			if got, err := decodeAnswer(again, maxRanges); err != nil || !reflect.DeepEqual(got, replies) {
				t.Errorf("%v read back as %v, %v", replies, got, err)
			}
			return answer, nil
		}, 100)
		if stats.RoundTrips > 10_000 {
			t.Errorf("%d round trips", stats.RoundTrips)
		}
	})
}
