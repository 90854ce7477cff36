package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Limits of one exchange with an upstream server.
const (
	headTimeout = 60 * time.Second       // from the end of a request that must not be repeated to the head of its response: an app may think for long
	stallLimit  = 30 * time.Second       // for one write to make progress
	recent      = 5 * time.Second        // idle connections younger than this may carry a request that cannot be repeated
	lastPiece   = 100 * time.Millisecond // for the end of a request's body, once its answer is complete
	maxInterim  = 16                     // 1xx responses before the final one
	prefetched  = 8 << 10                // what the front has of a request body when it hands the request over
)

// outgoing is a request on its way upstream. Its head is built once and serves every try.
type outgoing struct {
	of         *request
	home       *Upstream        // to be asked before the parents; nil for none
	head       []byte           // request line and fields, without framing and the empty line
	isHead     bool             // the method is HEAD
	repeatable bool             // safe and without a body: it may be sent a second time
	upgrade    bool             // asks for a tunnel
	feed       Feed             // judges whether a response may be stored; nil where it does not matter
	claimed    journal.Position // of feed, before the request
	condition  bool             // has a precondition: a 304 may come
	ranged     bool             // the client asked for a range, or is a tier that knows whether one did: a 206 may come
	patience   time.Duration    // from its end to the head of the response
	empty      bool             // has no body though its method may have one: Content-Length says so (RFC 9110 §8.6)
	body       requestBody
	again      func() bool         // asks for one more try within the node's budget
	parents    [maxTries]*Upstream // room for those to try
}

// unasked finds an answer that the request does not allow: taken for one to another request, it would do harm.
func (o *outgoing) unasked(h *responseHead) error {
	if h.status == http.StatusNotModified && !o.condition || h.status == http.StatusPartialContent && !o.ranged {
		return fmt.Errorf("the server answered %d, which was not asked for", h.status)
	}
	return nil
}

// requestBody is what a client sends with its request.
type requestBody struct {
	io.Reader       // nil when there is none
	length    int64 // lengthUnknown for a chunked one
	abort     func()
}

// response is the answer to an outgoing request. It must be closed.
type response struct {
	responseHead
	from   *Upstream
	conn   *upConn
	body   body
	upload *upload          // of the request's body, while that goes on beside the response
	came   time.Time        // when the head was here
	took   time.Duration    // until then
	behind bool             // may be of before a purge: it must not be stored
	at     journal.Position // that it says to have seen; zero when it does not say
}

// exchange sends a request on one connection and reads the head of the response. A kept connection that turns out to be
// closed is replaced by a new one when the request may be repeated; other failures are the caller's to judge. began is now.
func (u *Upstream) exchange(ctx context.Context, out *outgoing, began time.Time) (*response, error) {
	now := began
	for fresh := false; ; fresh = true {
		c, err := u.connect(ctx, out, fresh, now)
		if err != nil {
			u.stats.Fetch(stats.Fetch{To: u.Node.Kind, Err: true})
			return nil, err
		}
		if !c.used { // to connect takes its time
			now = time.Now()
		}
		resp, err := u.roundTrip(c, out, now)
		if err == nil {
			resp.came = time.Now()
			resp.took = resp.came.Sub(began)
			return resp, nil
		}
		spoilt := err == errSpoilt
		stale := !spoilt && c.used && out.repeatable && !TimedOut(err) && out.again() // it may as well be the server that fails
		u.put(c, false, now)
		if spoilt {
			continue
		}
		if !stale {
			u.stats.Fetch(stats.Fetch{To: u.Node.Kind, Err: !isClients(err)})
			return nil, err
		}
		u.forget() // the server has ended, or restarted: the others are closed as well
	}
}

// connect returns a connection that is good enough for the request: one that cannot be repeated needs more certainty. What has
// come on an idle connection would be taken for the answer; ask looks at that itself.
func (u *Upstream) connect(ctx context.Context, out *outgoing, fresh bool, now time.Time) (*upConn, error) {
	c, err := u.get(ctx, fresh, now)
	if err != nil || !c.used || (out.repeatable || now.Sub(c.since) < recent) && (c.asks(out) || c.alive()) {
		return c, err
	}
	u.put(c, false, now)
	return u.get(ctx, true, now)
}

// TimedOut reports whether a try took as long as it may.
func TimedOut(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func (u *Upstream) roundTrip(c *upConn, out *outgoing, now time.Time) (*response, error) {
	up, err := send(c, out, now)
	if err != nil {
		return nil, err
	}
	resp := &response{from: u, conn: c, upload: up}
	if err := resp.read(out); err != nil {
		up.stop()
		if up != nil && isClients(up.err) {
			return nil, up.err
		}
		return nil, err
	}
	up.headCame()
	return resp, nil
}

// read waits for the final head.
func (r *response) read(out *outgoing) (err error) {
	for range maxInterim {
		if r.responseHead, err = readHead(r.conn.br); err != nil {
			return err
		}
		if r.status >= 200 || r.status == 101 && out.upgrade {
			if err = out.unasked(&r.responseHead); err == nil {
				err = r.body.init(r.conn, &r.responseHead, out.isHead)
			}
			if out.of.ofPush() && r.from.pushes != nil {
				r.body.pace = r.from.pace
			}
			return err
		}
		switch r.status {
		case 100: // answers this node's own Expect
		case 101:
			return errors.New("the server switched protocols unasked")
		default:
			passInterim(out.of, &r.responseHead)
		}
	}
	return fmt.Errorf("more than %d interim responses", maxInterim)
}

// close ends the exchange; that of a nil response has. The connection is kept when nothing is left of it to come.
func (r *response) close() {
	if r == nil {
		return
	}
	r.upload.stop()
	if r.body.arrived() {
		_, _ = r.body.writeRest(io.Discard) // an end that is here already costs nothing
	}
	keep := r.body.done && r.status != 101 && !r.http10 && !r.closing && r.conn.br.Buffered() == 0 && (r.upload == nil || r.upload.err == nil)
	r.from.stats.Fetch(stats.Fetch{To: r.from.Node.Kind, Err: r.body.failed || r.ofTier(), Bytes: r.body.n})
	r.from.stats.Flow(topology.Ref{Kind: r.from.Node.Kind, Name: r.from.Node.Group}, r.body.n, r.took)
	ended := r.came
	if r.body.waited {
		ended = time.Now()
	}
	r.from.put(r.conn, keep, ended)
}

// begun reports whether some of the body is here already.
func (r *response) begun() bool { return r.body.done || r.conn.br.Buffered() > 0 }

// WriteTo sends the body as it comes.
func (r *response) WriteTo(w io.Writer) (int64, error) { return r.body.WriteTo(w) }

// hasToken reports whether a comma-separated list has a member, in any case.
func hasToken(list, member string) bool {
	for m := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(m, " \t"), member) {
			return true
		}
	}
	return false
}

// send writes the request. A body that is not at hand goes on being sent beside the response: a server may answer while it
// reads, or without reading all.
func send(c *upConn, out *outgoing, now time.Time) (*upload, error) {
	if c.asks(out) {
		if err := c.limit(now, out.patience); err != nil {
			return nil, err
		}
		head := out.head // it has room behind it
		if out.empty {
			head = append(head, "Content-Length: 0\r\n"...)
		}
		return nil, c.ask(append(head, crlf...))
	}
	bw := writers.Get().(*bufio.Writer)
	limit := stallLimit
	if out.body.Reader == nil {
		limit = min(limit, out.patience) // whoever does not take a head will not answer it
	}
	bw.Reset(rolling{c, limit})
	_, _ = bw.Write(out.head) // an error stays in bw until Flush
	switch {
	case out.body.Reader == nil && !out.empty:
	case out.body.length >= 0:
		_, _ = bw.WriteString("Content-Length: " + strconv.FormatInt(out.body.length, 10) + "\r\n")
	default:
		_, _ = bw.WriteString("Transfer-Encoding: chunked\r\n")
	}
	_, _ = bw.Write(crlf)
	if out.body.Reader != nil && (out.body.length < 0 || out.body.length > prefetched) {
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			return nil, err
		}
		if out.body.length < 0 { // its beginning may wait for the answer's
			if err := bw.Flush(); err != nil {
				return nil, err
			}
		}
		return startUpload(c, bw, out.body), nil
	}
	defer putWriter(bw)
	if out.body.Reader != nil {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		if _, err := io.ReadFull(out.body, (*buf)[:out.body.length]); err != nil {
			return nil, clientError{err}
		}
		_, _ = bw.Write((*buf)[:out.body.length])
	}
	if err := bw.Flush(); err != nil {
		return nil, err
	}
	return nil, c.limit(time.Now(), out.patience)
}

// rolling is a connection on which each write has a time limit of its own.
type rolling struct {
	*upConn
	limit time.Duration
}

func (r rolling) Write(p []byte) (int, error) {
	if err := r.SetWriteDeadline(time.Now().Add(r.limit)); err != nil {
		return 0, err
	}
	if r.halted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return r.Conn.Write(p)
}

var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 4<<10) }}

func putWriter(bw *bufio.Writer) {
	bw.Reset(nil)
	writers.Put(bw)
}

// clientError says that the request broke off: it is not the upstream server's fault, and no try elsewhere can help.
type clientError struct{ error }

func (e clientError) Unwrap() error { return e.error }

const bufferSize = maxResponseHead // large enough for reads past the connection's own buffer

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}
