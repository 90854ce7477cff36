package coding

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// words returns a vocabulary of n made-up words.
func words(rng *rand.Rand, n int) []string {
	syllables := strings.Fields("a be ca den el fi gor ha in ju ka lo mer no op per qui ra so ter un ver wa xi yon zu tion ing er")
	list := make([]string, n)
	for i := range list {
		for range 1 + rng.IntN(4) {
			list[i] += syllables[rng.IntN(len(syllables))]
		}
	}
	return list
}

// word picks one, the first ones much more often, as in prose.
func word(rng *rand.Rand, list []string) string {
	return list[int(math.Pow(float64(len(list)), rng.Float64()))-1]
}

// jsonSample returns the first size bytes of a list of records.
func jsonSample(size int) []byte {
	rng := rand.New(rand.NewPCG(7, 8))
	vocabulary := words(rng, 2000)
	b := make([]byte, 0, size+512)
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, `{"id":%d,"uuid":"%016x","name":"%s %s","price":%.2f,"inStock":%t,"tags":["%s","%s"],"description":"`,
			1000+i, rng.Uint64(), word(rng, vocabulary), word(rng, vocabulary), rng.Float64()*500, rng.IntN(4) > 0,
			word(rng, vocabulary), word(rng, vocabulary))
		for range 8 + rng.IntN(12) {
			b = append(append(b, word(rng, vocabulary)...), ' ')
		}
		b = append(b, "\"},\n"...)
	}
	return b[:size]
}

// htmlSample returns the first size bytes of a page.
func htmlSample(size int) []byte {
	rng := rand.New(rand.NewPCG(9, 10))
	vocabulary := words(rng, 5000)
	b := make([]byte, 0, size+4096)
	b = append(b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>News</title></head><body>\n"...)
	for len(b) < size {
		b = fmt.Appendf(b, "<article class=\"card card--%s\" id=\"a%d\">\n  <h2><a href=\"/%s/%s-%d.html\">%s %s</a></h2>\n  <p class=\"lead\">",
			word(rng, vocabulary[:20]), rng.IntN(100_000), word(rng, vocabulary[:50]), word(rng, vocabulary), rng.IntN(1000),
			word(rng, vocabulary), word(rng, vocabulary))
		for range 40 + rng.IntN(80) {
			b = append(append(b, word(rng, vocabulary)...), ' ')
		}
		b = append(b, "</p>\n</article>\n"...)
	}
	return b[:size]
}

// BenchmarkEncode gives the table of the package documentation.
func BenchmarkEncode(b *testing.B) {
	samples := map[string][]byte{"json": jsonSample(100_000), "html": htmlSample(100_000)}
	for _, tt := range []struct {
		c      Coding
		level  int
		levels Levels
	}{
		{Gzip, 1, Levels{Gzip: 1}}, {Gzip, 5, Levels{Gzip: 5}}, {Gzip, 6, Levels{Gzip: 6}},
		{Gzip, 7, Levels{Gzip: 7}}, {Gzip, 9, Levels{Gzip: 9}},
		{Zstd, 1, Levels{Zstd: 1}}, {Zstd, 2, Levels{Zstd: 2}}, {Zstd, 3, Levels{Zstd: 3}}, {Zstd, 4, Levels{Zstd: 4}},
		{Brotli, 1, Levels{Brotli: 1}}, {Brotli, 4, Levels{Brotli: 4}}, {Brotli, 5, Levels{Brotli: 5}},
		{Brotli, 6, Levels{Brotli: 6}}, {Brotli, 11, Levels{Brotli: 11}},
	} {
		for _, name := range []string{"json", "html"} {
			b.Run(fmt.Sprintf("%v/%d/%s", tt.c, tt.level, name), func(b *testing.B) {
				p := newPool(b, tt.levels)
				b.ReportAllocs()
				b.SetBytes(int64(len(samples[name])))
				for b.Loop() {
					w := p.NewWriter(tt.c, io.Discard)
					w.Write(samples[name])
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(samples[name]))/float64(encodedSize(b, p, tt.c, samples[name])), "ratio")
			})
		}
	}
}

const priceEvent = "event: price\ndata: {\"symbol\":\"ABCD\",\"bid\":101.25,\"ask\":101.5}\n\n"

// BenchmarkEvents is a stream of small events, each flushed.
func BenchmarkEvents(b *testing.B) {
	event := []byte(priceEvent)
	for _, c := range encoders {
		b.Run(c.String(), func(b *testing.B) {
			var out bytes.Buffer
			w := newPool(b, Levels{}).NewWriter(c, &out)
			b.ReportAllocs()
			sent, events := 0, 0
			for b.Loop() {
				out.Reset()
				w.Write(event)
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
				sent += out.Len()
				events++
			}
			b.ReportMetric(float64(sent)/float64(events), "B/event")
		})
	}
}

// BenchmarkMemory measures what an encoder in use holds after so many bytes, and after events.
func BenchmarkMemory(b *testing.B) {
	page := htmlSample(1 << 20)
	uses := []struct {
		name string
		use  func(*Writer)
	}{
		{"events", func(w *Writer) {
			for range 100 {
				w.Write([]byte(priceEvent))
				w.Flush()
			}
		}},
		{"100 KB", func(w *Writer) { w.Write(page[:100_000]) }},
		{"1 MiB", func(w *Writer) { w.Write(page) }},
	}
	for _, c := range encoders {
		for _, u := range uses {
			b.Run(fmt.Sprintf("%v/%s", c, u.name), func(b *testing.B) {
				p := newPool(b, Levels{})
				held := make([]*Writer, 20)
				before := heap()
				for i := range held {
					held[i] = p.NewWriter(c, io.Discard)
					u.use(held[i])
				}
				after := heap()
				runtime.KeepAlive(held)
				for b.Loop() { // nothing to time
				}
				b.ReportMetric(float64(after-before)/float64(len(held))/1024, "KiB/encoder")
			})
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
