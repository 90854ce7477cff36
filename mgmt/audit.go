package mgmt

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// auditKept is how many calls the audit log holds.
const auditKept = 1000

// Audited is a call that changed something, or was to: who made it, and how it ended.
type Audited struct {
	Time   time.Time `json:"time"`
	Client string    `json:"client"`
	Method string    `json:"method"`
	Path   string    `json:"path"` // with its query
	Status int       `json:"status"`
	Origin string    `json:"origin,omitempty"` // of the page that made it
	Detail string    `json:"detail,omitempty"` // what the body asked for
}

// audit keeps the last calls that changed something, or were refused.
type audit struct {
	mu    sync.Mutex // guards calls
	calls []Audited
}

func (a *audit) add(c Audited) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls = append(a.calls, c); len(a.calls) > auditKept {
		a.calls = slices.Delete(a.calls, 0, 1)
	}
}

func (a *audit) all() []Audited {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Audited{}, a.calls...)
}

// audited notes every call that is to change something, however it ends, in the log and for GET /api/v1/audit.
func (s *Server) audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !changes(r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r)
		c := Audited{time.Now().UTC(), r.RemoteAddr, r.Method, r.URL.RequestURI(), status.status, r.Header.Get("Origin"), status.detail}
		s.audit.add(c)
		s.cfg.Log.Info("admin call", "method", c.Method, "path", c.Path, "client", c.Client, "status", c.Status, "detail", c.Detail)
	})
}

// statusWriter notes the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
	detail string
}

// note tells the audit what a call is about, where its path does not.
func note(w http.ResponseWriter, format string, args ...any) {
	if s, ok := w.(*statusWriter); ok {
		s.detail = fmt.Sprintf(format, args...)
	}
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) getAudit(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string][]Audited{"calls": s.audit.all()})
}
