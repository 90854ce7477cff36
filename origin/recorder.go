package origin

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// recorder sees what goes through a ResponseWriter. http.ResponseController reaches through it for flushing and hijacking.
type recorder struct {
	http.ResponseWriter
	start    time.Time
	now      func() time.Time
	status   int
	out      int64
	ttfb     time.Duration
	position string // of the journal when the request came; "" tells none
	local    bool   // the answer is the origin's own, and an error
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.position != "" && status >= http.StatusOK { // not before: net/http/httputil clears the fields behind an interim response
		r.Header().Set(positionHeader, r.position)
	}
	if status >= http.StatusOK && r.status == 0 {
		r.status, r.ttfb = status, r.now().Sub(r.start)
		if _, ok := r.Header()["Content-Type"]; !ok {
			r.Header()["Content-Type"] = nil // keeps net/http from guessing what the app did not say
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.out += int64(n)
	return n, err
}

// finalStatus is the status that was sent; a connection that was taken over has switched protocols.
func (r *recorder) finalStatus() int {
	if r.status == 0 {
		return http.StatusSwitchingProtocols
	}
	return r.status
}

// countedBody counts what is read of a request's body.
type countedBody struct {
	io.ReadCloser
	n atomic.Int64 // the transport may read beyond the answer
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
