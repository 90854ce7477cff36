package coding

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Levels are how hard the encoders try. Zero is the default of each, which is meant for encoding while the client waits.
type Levels struct {
	Gzip   int // 1 (fast) to 9 (small), by default 5
	Zstd   int // 1 (fast) to 4 (small) as klauspost/compress counts, by default 2
	Brotli int // 1 (fast) to 11 (small), by default 5
}

// The windows of zstd, in bytes, and of brotli, as a power of two. RFC 9659 §3 allows zstd 8 MiB, but windows of that size cost
// each encoder 10 MiB and a body of 1 MiB gains 0.1 % by them.
const (
	zstdWindow    = 512 << 10
	brotliLogSize = 18
)

// Pool makes encoders and keeps them for reuse. It is safe for concurrent use; the Writers are not. It does not limit how many
// are in use at once: who calls it knows how much memory there is.
type Pool struct {
	levels [codings]int
	idle   [codings]sync.Pool // of *encoder
}

// NewPool returns a Pool of encoders of the levels, or an error that names each level which is out of range.
func NewPool(l Levels) (*Pool, error) {
	p := &Pool{levels: [codings]int{Gzip: orDefault(l.Gzip, 5), Zstd: orDefault(l.Zstd, 2), Brotli: orDefault(l.Brotli, 5)}}
	highest := [codings]int{Gzip: 9, Zstd: 4, Brotli: 11}
	var errs []error
	for c := Gzip; c < codings; c++ {
		if level := p.levels[c]; level < 1 || level > highest[c] {
			errs = append(errs, fmt.Errorf("%v level %d: want 1 to %d", c, level, highest[c]))
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

func orDefault(level, def int) int {
	if level == 0 {
		return def
	}
	return level
}

// encoder is a stream and where it goes. The stream writes through the encoder, so that an idle one holds on to no connection.
type encoder struct {
	stream
	dst io.Writer
}

// stream is what the libraries' writers have in common.
type stream interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// target is the encoder as its stream sees it.
type target encoder

func (t *target) Write(p []byte) (int, error) { return t.dst.Write(p) }

// NewWriter returns a Writer that encodes to w. Identity passes everything through.
func (p *Pool) NewWriter(c Coding, w io.Writer) *Writer {
	e, ok := p.idle[c].Get().(*encoder)
	if !ok {
		e = &encoder{stream: newStream(c, p.levels[c])}
	}
	return e.start(w, &p.idle[c])
}

// start begins another body, whatever became of the last.
func (e *encoder) start(w io.Writer, idle *sync.Pool) *Writer {
	e.dst = w
	e.Reset((*target)(e))
	return &Writer{encoder: e, idle: idle}
}

// newStream returns a stream that awaits its Reset. The options are valid: NewPool has checked the level.
func newStream(c Coding, level int) stream {
	switch c {
	case Gzip:
		z, _ := gzip.NewWriterLevel(nil, level)
		return z
	case Zstd:
		z, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithWindowSize(zstdWindow),
			zstd.WithLowerEncoderMem(true), // halves it, at the same ratio
			zstd.WithEncoderConcurrency(1), // no goroutines
			zstd.WithZeroFrames(true),      // no content is a frame too
			zstd.WithEncoderCRC(false))     // TCP and TLS check already; RFC 8878 §3.1.1 leaves it to us
		return z
	case Brotli:
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: level, LGWin: brotliLogSize})
	}
	return new(plain)
}

// plain is the stream of Identity.
type plain struct{ io.Writer }

func (p *plain) Reset(w io.Writer) { p.Writer = w }
func (*plain) Flush() error        { return nil }
func (*plain) Close() error        { return nil }

// Writer encodes one body. Close or Abort gives its encoder back; what is called after that returns an error.
type Writer struct {
	encoder *encoder // nil when closed
	idle    *sync.Pool
}

var errClosed = errors.New("coding: writer is closed")

// Write encodes p. Little of it may arrive before Flush or Close. After an error of the underlying writer there is nothing
// to do but to Abort or Close.
func (w *Writer) Write(p []byte) (int, error) {
	if w.encoder == nil {
		return 0, errClosed
	}
	return w.encoder.Write(p)
}

// Flush writes what is needed to decode all bytes so far. A stream of events wants it after each, at the price of a worse ratio.
// Gzip below level 7 does not look back over a flush of less than 128 bytes: an event of 63 bytes becomes 73, at level 7 it
// becomes 8. zstd makes 11 of it, br 10.
func (w *Writer) Flush() error {
	if w.encoder == nil {
		return errClosed
	}
	return w.encoder.Flush()
}

// Close writes the end of the encoded body and gives the encoder back, whatever it returns. It does not close the underlying
// writer.
func (w *Writer) Close() error {
	if w.encoder == nil {
		return errClosed
	}
	err := w.encoder.Close()
	w.Abort()
	return err
}

// Abort gives the encoder back and leaves the encoded body without its end, as a body must be whose source failed: the client
// shall not take it for whole. After Close it does nothing.
func (w *Writer) Abort() {
	if w.encoder == nil {
		return
	}
	w.encoder.dst = nil
	w.idle.Put(w.encoder)
	w.encoder = nil
}
