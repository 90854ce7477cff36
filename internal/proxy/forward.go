package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cdnlab/topology"
)

// Bounds of the tries for one request.
const (
	maxTries  = 4
	tryBudget = 15 * time.Second // no try begins later than this
	slowMark  = "; slow"         // behind the name in errorHeader: the parent of the tier did not answer in time
)

// tries are the failed tries of one request.
type tries []try

type try struct {
	node topology.NodeName
	err  error
}

// Error is a sentence that names what failed.
func (t tries) Error() string {
	all := make([]string, len(t))
	for i, f := range t {
		all[i] = fmt.Sprintf("%s: %s", f.node, plainly(f.err))
	}
	return strings.Join(all, "; ")
}

// Unwrap returns what went wrong at each try.
func (t tries) Unwrap() []error {
	all := make([]error, len(t))
	for i, f := range t {
		all[i] = f.err
	}
	return all
}

// plainly tells an error without the addresses that Go puts around it.
func plainly(err error) string {
	var dial dialError
	switch {
	case TimedOut(err) && errors.As(err, &dial):
		return "no connection within " + dialTimeout.String()
	case TimedOut(err):
		return "no answer in time"
	case errors.As(err, &dial):
		return "cannot connect: " + rootOf(dial.error).Error()
	case errors.Is(err, io.EOF):
		return "hung up without an answer"
	}
	return rootOf(err).Error()
}

func rootOf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// forward sends a request to the parents in their order, behind the home of the object if that is another server of the PoP, until one has an answer. Tries after the first are for requests that
// may be repeated and for those of which nothing was sent. A 5xx that a tier made counts as a failed try, as does an answer of before a
// purge; when no parent does better, it is the answer.
func (s *Server) forward(ctx context.Context, out *outgoing, site *topology.Site, hash uint64) (*response, error) {
	var failed tries
	var last *response
	start, now := time.Now(), s.cfg.Now()
	s.budget.Request(now)
	parents := out.parents[:0]
	if out.home != nil {
		parents = append(parents, out.home)
	}
	began, patience := start, out.patience
	for i, u := range s.cfg.Parents.Choose(parents, site, hash, now) {
		if i > 0 {
			began = time.Now()
		}
		if i == maxTries || i > 0 && (began.Sub(start) > tryBudget || !s.mayRetry(failed, last)) {
			break
		}
		out.patience = patience
		if u == out.home {
			out.patience += homePatience
		}
		resp, err := u.exchange(ctx, out, began)
		switch {
		case err == nil:
			s.cfg.Parents.Report(u, nil, now) // what answers is well, at whatever time
		case !isClients(err):
			s.cfg.Parents.Report(u, err, s.cfg.Now())
		}
		if err == nil {
			resp.behind = out.behind(resp)
		}
		switch {
		case err == nil && !resp.behind && (!resp.ofTier() || resp.slow() || !out.repeatable): // another way to what hangs would hang too
			last.close()
			return resp, nil
		case err == nil:
			last.close()
			last = resp
			continue
		}
		failed = append(failed, try{u.Node.Name, err})
		var dial dialError
		if !out.repeatable && !errors.As(err, &dial) || isClients(err) || ctx.Err() != nil {
			break
		}
	}
	if last != nil {
		return last, nil
	}
	return nil, failed
}

// mayRetry reports whether one more try is within the node's budget. A try of which nothing was sent costs upstream nothing, and a
// parent that is behind is no sign of too much work: what it said was purged here.
func (s *Server) mayRetry(failed tries, last *response) bool {
	if last != nil && last.behind {
		return true
	}
	var dial dialError
	if last == nil && errors.As(failed[len(failed)-1].err, &dial) {
		return true
	}
	return s.again()
}

func isClients(err error) bool {
	if err == nil {
		return false
	}
	var c clientError
	return errors.As(err, &c)
}

// ofTier reports whether the response is an error that a tier made and another might not.
func (r *response) ofTier() bool {
	switch r.status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return r.header.Has(errorHeader)
	}
	return false
}

// slow reports whether a tier has waited for its own parent for as long as it does.
func (r *response) slow() bool { return strings.HasSuffix(r.header.Get(errorHeader), slowMark) }
