package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// outcome is how a request was answered, for the response's own fields, the counters and the log.
type outcome struct {
	result  stats.Result
	status  httpcache.CacheStatus
	below   httpcache.Header // of upstream, whose members of Cache-Status and Server-Timing belong to this response too
	ttfb    time.Duration
	relayed string // X-Cache of the server of the PoP that has answered; "" when this one does
}

// cacheWords are what X-Cache says.
var cacheWords = [...]string{
	stats.Hit: "HIT", stats.Miss: "MISS", stats.Stale: "STALE", stats.Revalidated: "REVALIDATED", stats.Pass: "PASS", stats.Failed: "ERROR",
	stats.Limited: "LIMITED",
}

// send gives fasthttp the head of a response. fasthttp keeps neither the order nor the case nor every repetition of the fields
// it knows, and takes longer for each one than a copy takes for all: so lines, which is the complete section except for
// framing, goes to it as if it were one field, up to the value of Via, which comes last.
func (s *Server) send(r *request, code int, lines []byte) {
	s.conns.enter(r.conn, phaseWrite)
	lines = s.appendHandling(lines, r)
	lines = append(lines, "Via"...)
	resp := &r.rc.Response
	resp.SetStatusCode(code)
	resp.Header.SetCanonical(lines, s.viaValue)
	r.buf = lines
}

// appendHandling appends what this node says about the handling of the request.
func (s *Server) appendHandling(b []byte, r *request) []byte {
	o := &r.out
	o.ttfb = s.cfg.Now().Sub(r.start)
	b = append(b, "Cache-Status: "...)
	b = appendMembers(b, o.below, "Cache-Status")
	if o.relayed == "" {
		o.status.Cache = s.cacheName
		b = o.status.Append(b)
	} else {
		b = bytes.TrimSuffix(b, []byte(", "))
	}
	b = append(b, "\r\nServer-Timing: "...)
	b = appendMembers(b, o.below, "Server-Timing")
	b = append(append(b, s.tier...), ";dur="...)
	b = AppendMilliseconds(b, o.ttfb)
	b = append(append(append(b, `;desc="`...), s.name...), "\"\r\n"...)
	if r.trusted && r.site != nil && r.site.feed != nil {
		if r.applied.Epoch == 0 && !r.behind {
			r.applied = r.site.feed.Base() // the node had no position when the request came
		}
		b, _ = r.applied.AppendText(append(b, positionHeader+": "...)) // never fails
		b = append(b, crlf...)
	}
	if !r.clientLike() {
		return b
	}
	b = append(append(b, r.limits...), "X-Cache: "...)
	if o.relayed != "" {
		b = append(b, o.relayed...)
	} else {
		b = append(append(append(b, cacheWords[o.result]...), ", "...), s.name...)
	}
	b = append(b, crlf...)
	if r.trusted {
		return b
	}
	b = append(append(b, "X-Request-Id: "...), r.id[:]...)
	return append(b, crlf...)
}

// AppendMilliseconds appends a duration in milliseconds, down to the microsecond, without zeros at the end.
func AppendMilliseconds(b []byte, d time.Duration) []byte {
	us := d.Microseconds()
	b = strconv.AppendInt(b, us/1000, 10)
	rest := us % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(100); rest > 0; unit /= 10 {
		b = append(b, byte('0'+rest/unit))
		rest %= unit
	}
	return b
}

func appendMembers(b []byte, below httpcache.Header, field string) []byte {
	for v := range below.Values(field) {
		if v != "" {
			b = append(append(b, v...), ", "...)
		}
	}
	return b
}

// appendPassed appends the fields of a response that is passed on as it came.
func (s *Server) appendPassed(b []byte, r *request, resp *response) []byte {
	dated := false
	for name, value := range resp.header.Forward() {
		switch {
		case contains(handlingFields, name), r.replaced(name):
		case inner(name) && !(r.trusted && strings.EqualFold(name, errorHeader)):
		default:
			dated = dated || strings.EqualFold(name, "Date")
			b = appendLine(b, name, value)
		}
	}
	if !dated {
		b = appendDate(b, r.now)
	}
	return b
}

// handlingFields of an upstream response are framing, or are made anew.
var handlingFields = set("Content-Length", "Cache-Status", "Server-Timing", "X-Cache", "X-Request-Id")

func appendDate(b []byte, now int64) []byte {
	return append(httpcache.AppendDate(append(b, "Date: "...), now), crlf...)
}

func appendAge(b []byte, age time.Duration) []byte {
	b = strconv.AppendInt(append(b, "Age: "...), int64(age/time.Second), 10)
	return append(b, crlf...)
}

// allowed are the methods that are served; others than these are passed on too.
const allowed = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"

// fail answers with a sentence of this node.
func (s *Server) fail(r *request, why *refusal) {
	r.out.result = stats.Failed
	if why.result != 0 {
		r.out.result = why.result
	}
	b := append(r.buf, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"...) // it repeats what the client sent
	b = appendDate(b, r.now)
	if why.status == http.StatusMethodNotAllowed {
		b = append(b, allowed...)
	}
	if r.trusted && why.status > http.StatusInternalServerError {
		value := s.name
		if why.slow {
			value += slowMark
		}
		b = appendLine(b, errorHeader, value)
	}
	s.send(r, why.status, b)
	s.sendBytes(r, []byte(why.sentence+"\n"))
}

// sendBytes answers with a body in one piece and ends the request.
func (s *Server) sendBytes(r *request, body []byte) {
	if r.isUnread(r.rc.Response.ConnectionClose()) {
		s.sendLast(r, &bodyStream{s: s, r: r, src: finalPiece(body)}, int64(len(body)))
		return
	}
	r.rc.Response.SetBodyRaw(body)
	n := int64(len(body))
	if r.rc.IsHead() {
		r.rc.Response.Header.SetContentLength(len(body))
		n = 0
	}
	s.finish(r, n)
}

// source is where a body comes from.
type source interface {
	io.WriterTo
	io.Closer
}

// sendStream answers with a body that arrives while it is sent, and ends the request when it has been sent. length is
// lengthUnknown for one whose end alone tells it. early says that the head goes first.
func (s *Server) sendStream(r *request, src source, length int64, early bool) {
	b := &bodyStream{s: s, r: r, src: src}
	refused := r.rc.Response.StatusCode() >= http.StatusBadRequest // others may be meant to go both ways at once
	if length == lengthUnknown && !r.rc.Request.Header.IsHTTP11() || refused && r.isUnread(true) {
		s.sendLast(r, b, length)
		return
	}
	s.conns.enter(r.conn, phaseBusy) // each piece has a time limit of its own
	r.rc.Response.ImmediateHeaderFlush = early
	r.rc.Response.SetBodyStream(b, int(length))
}

// sendLast answers with the last response of a connection: the client still sends a body that is not read, or knows no chunks
// (HTTP/1.0), so that the end of the connection is the end of a body of unknown length.
func (s *Server) sendLast(r *request, b *bodyStream, length int64) {
	code, isHead := r.rc.Response.StatusCode(), r.rc.IsHead()
	head := append(statusLine(code), r.buf...)
	head = append(append(append(head, ": "...), s.viaValue...), crlf...)
	if length != lengthUnknown && code != http.StatusNoContent && code != http.StatusNotModified {
		head = appendLine(head, "Content-Length", strconv.FormatInt(length, 10))
	}
	head = append(head, "Connection: close\r\n\r\n"...)
	unread := r.isUnread(true)
	stop := r.rc.Done()
	s.untilEnd.take(r.rc, func(c net.Conn) {
		if err := s.writeLast(c, head, b, isHead); err != nil {
			endBadly(c)
		} else if unread {
			Linger(c, stop)
		}
	}, func() { _ = b.Close() })
}

// statusLine begins a head that does not go through fasthttp.
func statusLine(code int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", code, http.StatusText(code))
}

// writeLast sends a response and ends its request.
func (s *Server) writeLast(c net.Conn, head []byte, b *bodyStream, isHead bool) error {
	defer b.Close() // what was left of the body is no fault of this side
	if err := c.SetWriteDeadline(time.Now().Add(stallLimit)); err != nil {
		return err
	}
	if _, err := c.Write(head); err != nil || isHead {
		return err
	}
	_, err := b.WriteTo(c)
	return err
}

// endBadly makes a connection that is about to be closed end with a reset, where it can, so that its peer does not take what
// came for all.
func endBadly(c net.Conn) {
	if tcp, ok := handedOver(c).(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // one that is closed already is as good
	}
}

// bodyStream is a response's body on its way to the client. fasthttp has it write itself, and closes it.
type bodyStream struct {
	s      *Server
	r      *request
	src    source
	n      int64
	closed bool
}

// Read is never called: see SupportsBodyWriteTo.
func (b *bodyStream) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// SupportsBodyWriteTo makes fasthttp call WriteTo, also for chunked bodies (fasthttp.BodyWriterTo).
func (b *bodyStream) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo.
func (b *bodyStream) WriteTo(w io.Writer) (int64, error) {
	n, err := b.src.WriteTo(&paced{w: w, rc: b.r.rc})
	b.n += n
	return n, err
}

// Close implements io.Closer.
func (b *bodyStream) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	err := b.src.Close()
	b.s.finish(b.r, b.n)
	return err
}

// maxPiece is how much of a body is written under one time limit, which makes a client slower than 9 kB/s one that stalls.
const maxPiece = 256 << 10

// filePieces is how many pieces of a file are written under a time limit as many times as long.
const filePieces = 4

// paced writes to a client, each piece within a time limit.
type paced struct {
	w  io.Writer
	rc *fasthttp.RequestCtx
}

// ReadFrom implements io.ReaderFrom: fasthttp sends a part of a file by sendfile where the connection is a bare socket.
func (p *paced) ReadFrom(r io.Reader) (total int64, err error) {
	part, ok := r.(*io.LimitedReader)
	to, direct := p.w.(io.ReaderFrom)
	_, bare := p.rc.Conn().(io.ReaderFrom)
	if !ok || !direct || !bare {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		return io.CopyBuffer(struct{ io.Writer }{p}, r, *buf)
	}
	for part.N > 0 {
		if err := p.begin(filePieces); err != nil {
			return total, err
		}
		piece := &io.LimitedReader{R: part.R, N: min(part.N, filePieces*maxPiece)}
		n, err := to.ReadFrom(piece)
		part.N -= n
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
	return total, nil
}

// begin starts the time limit of so many pieces.
func (p *paced) begin(pieces time.Duration) error {
	return p.rc.SetWriteDeadline(time.Now().Add(pieces * stallLimit))
}

func (p *paced) Write(b []byte) (total int, err error) {
	for len(b) > 0 && err == nil {
		if err = p.begin(1); err != nil {
			break
		}
		var n int
		n, err = p.w.Write(b[:min(len(b), maxPiece)])
		total += n
		b = b[n:]
	}
	return total, err
}

// Record is a finished request. It and its byte slices are valid during the call that gets it.
type Record struct {
	Time         time.Time
	Client       Client
	Method, Host []byte
	Target       []byte
	Status       int
	Bytes        int64 // of the response's body
	TTFB, Total  time.Duration
	Cache        string // HIT, MISS …
	RequestID    []byte
}

// observe counts who was served, and what.
func (s *Server) observe(r *request, done stats.Request) {
	if s.cfg.Locate == nil || r.trusted {
		return
	}
	if c := s.client(r); c.Place != "" {
		s.cfg.Stats.Place(c.Place).Request(r.rc.ConnID(), done)
	}
	if r.ask.Cacheable() {
		if s.cfg.Popular != nil {
			s.cfg.Popular(r.site.Origin, r.site.Host, r.target, done.Out)
		}
		s.cfg.Stats.Object(r.site.Host, r.target, r.out.result == stats.Hit || r.out.result == stats.Stale)
	}
}

// finish counts and logs a request that has been answered with n bytes of body, and gives it back to the pool.
func (s *Server) finish(r *request, n int64) {
	code := r.rc.Response.StatusCode()
	in := int64(0)
	if b, ok := r.body.Reader.(*clientBody); ok {
		in = b.n.Load()
	}
	done := stats.Request{Result: r.out.result, Status: code, In: in, Out: n, TTFB: r.out.ttfb}
	ofPeer := r.peer && r.trusted && s.cfg.Peers != nil // the server that the client talks to counts it
	if !ofPeer {
		s.cfg.Stats.Request(r.rc.ConnID(), done)
	}
	if r.site != nil && !ofPeer {
		r.site.stats.Request(r.rc.ConnID(), done)
		s.observe(r, done)
	}
	if s.cfg.Record != nil && !ofPeer {
		r.record = Record{
			Time: r.start, Client: s.client(r), Method: r.rc.Method(), Host: r.host, Target: r.target, Status: code, Bytes: n,
			TTFB: r.out.ttfb, Total: s.cfg.Now().Sub(r.start), Cache: cacheWords[r.out.result], RequestID: r.id[:],
		}
		s.cfg.Record(&r.record)
	}
	r.end()
}

// end lets go of what the request was about.
func (r *request) end() {
	r.rc, r.body, r.out, r.record = nil, requestBody{}, outcome{}, Record{}
	r.sent.body = requestBody{}
}
