// Package duplex serves requests of HTTP/1 whose bodies go both ways at once: reverse proxies on net/http need that, or an answer that
// begins while its request is still being passed on breaks off.
package duplex

import "net/http"

// Serve has h answer a request in full duplex. A short rest of the request's body is read behind the answer: where net/http's server
// does so itself, the next request on the connection panics.
func Serve(h http.Handler, w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // never fails with HTTP/1
	h.ServeHTTP(w, r)
	if r.ContentLength == 0 {
		return
	}
	_ = control.Flush() // the rest may be waiting for the answer; who has gone shows below
	_ = r.Body.Close()
}
