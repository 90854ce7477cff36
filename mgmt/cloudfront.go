package mgmt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of invalidations. CloudFront's own are 3,000 paths in progress and 15 with a wildcard ("Quotas on invalidations", Amazon CloudFront
// Developer Guide).
const (
	cloudfrontPaths     = purgeBurst
	cloudfrontWildcards = 15
	cloudfrontPath      = 4000 // characters
	cloudfrontKept      = 1000 // invalidations that are remembered
)

// maxDialectBody is enough for as many URLs as a dialect takes at once.
const maxDialectBody = 8 << 20

// Status of an invalidation.
const (
	inProgress = "InProgress"
	completed  = "Completed"
)

// InvalidationBatch is the body of CreateInvalidation (Amazon CloudFront API Reference, 2020-05-31).
type InvalidationBatch struct {
	Paths           InvalidationPaths
	CallerReference string
}

// InvalidationPaths are paths of one distribution; one that ends with * is a prefix.
type InvalidationPaths struct {
	Quantity int
	Items    []string `xml:"Items>Path"`
}

// Invalidation is the answer of CreateInvalidation and GetInvalidation.
type Invalidation struct {
	XMLName           xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ Invalidation"`
	ID                string   `xml:"Id"`
	Status            string
	CreateTime        string
	InvalidationBatch InvalidationBatch
}

// invalidation is one that was made.
type invalidation struct {
	distribution string
	Invalidation
	journals []Position
}

// invalidations are the latest that were made.
type invalidations struct {
	mu  sync.Mutex // guards all with what it points to, and n
	all []*invalidation
	n   uint64 // that were ever made
}

// cloudfrontError is the body of its errors.
type cloudfrontError struct {
	XMLName xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

func writeXML(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xml.Header) // this and the next fail only when the client is gone
	_ = xml.NewEncoder(w).Encode(v)
}

func writeCloudfrontError(w http.ResponseWriter, status int, code, format string, args ...any) {
	from := "Sender"
	if status >= 500 {
		from = "Receiver"
	}
	writeXML(w, status, cloudfrontError{Type: from, Code: code, Message: fmt.Sprintf(format, args...)})
}

// cloudfront lets a call pass that is signed with the lab's token as the secret access key, for a distribution that stands for sites.
func (s *Server) cloudfront(next func(http.ResponseWriter, *http.Request, []byte, []string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDialectBody))
		if err != nil {
			writeCloudfrontError(w, http.StatusRequestEntityTooLarge, "BatchTooLarge", "%v", err)
			return
		}
		if err := checkSigV4(r, body, "cloudfront", s.cfg.Token, time.Now()); err != nil {
			code := "SignatureDoesNotMatch"
			if r.Header.Get("Authorization") == "" {
				code = "MissingAuthenticationToken"
			}
			s.logRefusal(r, http.StatusForbidden, err.Error())
			writeCloudfrontError(w, http.StatusForbidden, code, "%v", err)
			return
		}
		id := r.PathValue("distribution")
		hosts := s.sitesOf(id)
		if hosts == nil {
			writeCloudfrontError(w, http.StatusNotFound, "NoSuchDistribution", "%s", s.whatIDsAre(id))
			return
		}
		next(w, r, body, hosts)
	}
}

// createInvalidation serves CreateInvalidation. A call with the CallerReference of an earlier one does nothing again.
func (s *Server) createInvalidation(w http.ResponseWriter, r *http.Request, body []byte, hosts []string) {
	var batch InvalidationBatch
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&batch); errors.Is(err, io.EOF) {
		writeCloudfrontError(w, http.StatusBadRequest, "MissingBody", "This operation requires a body.")
		return
	} else if err != nil {
		writeCloudfrontError(w, http.StatusBadRequest, "MalformedXML", "%v", err)
		return
	}
	specs, code, err := batch.specs(hosts)
	if err != nil {
		writeCloudfrontError(w, http.StatusBadRequest, code, "%v", err)
		return
	}
	note(w, "purge %s", brief(specs))
	made, known := s.invalidations.add(r.PathValue("distribution"), batch, time.Now())
	switch {
	case !known:
		done, status, err := s.purge(r.Context(), specs...)
		if err != nil {
			s.invalidations.remove(made)
			code := map[int]string{http.StatusTooManyRequests: "Throttling", http.StatusBadGateway: "ServiceUnavailable"}[status]
			writeCloudfrontError(w, status, code, "%v", err)
			return
		}
		s.invalidations.purged(made, done)
	case !slices.Equal(made.InvalidationBatch.Paths.Items, batch.Paths.Items):
		writeCloudfrontError(w, http.StatusBadRequest, "InvalidationBatchAlreadyExists", "%q was the CallerReference of other paths", batch.CallerReference)
		return
	}
	w.Header().Set("Location", "http://"+r.Host+r.URL.EscapedPath()+"/"+made.ID)
	answer, _ := s.invalidations.answer(made)
	writeXML(w, http.StatusCreated, answer)
}

// getInvalidation serves GetInvalidation, and looks again whether one that was not completed is by now.
func (s *Server) getInvalidation(w http.ResponseWriter, r *http.Request, _ []byte, _ []string) {
	made := s.invalidations.find(r.PathValue("distribution"), r.PathValue("id"))
	if made == nil {
		writeCloudfrontError(w, http.StatusNotFound, "NoSuchInvalidation", "The specified invalidation does not exist.")
		return
	}
	answer, journals := s.invalidations.answer(made)
	if answer.Status != completed && len(journals) > 0 && s.applied(r.Context(), journals) {
		answer.Status = completed
	}
	writeXML(w, http.StatusOK, answer)
}

// specs are the purges of a batch; code names what is wrong with it.
func (b InvalidationBatch) specs(hosts []string) (specs []PurgeSpec, code string, err error) {
	wildcards := 0
	switch {
	case b.CallerReference == "":
		return nil, "InvalidArgument", errors.New("the CallerReference is missing")
	case b.Paths.Quantity != len(b.Paths.Items):
		return nil, "InconsistentQuantities", fmt.Errorf("the Quantity is %d and there are %d items", b.Paths.Quantity, len(b.Paths.Items))
	case len(b.Paths.Items) == 0:
		return nil, "InvalidArgument", errors.New("there are no paths")
	}
	for _, path := range b.Paths.Items {
		prefix, wildcard := strings.CutSuffix(path, "*")
		switch {
		case strings.Contains(prefix, "*"):
			return nil, "InvalidArgument", fmt.Errorf("%q: the wildcard must be the last character", path)
		case path == "" || len(path) > cloudfrontPath:
			return nil, "InvalidArgument", fmt.Errorf("a path has 1 to %d characters", cloudfrontPath)
		case !strings.HasPrefix(path, "/") || escaped(path) != path:
			return nil, "InvalidArgument", fmt.Errorf("your request contains one or more invalid invalidation paths: %q; a path begins with a slash, and what is no ASCII is percent-encoded", path)
		case wildcard:
			wildcards++
		}
		for _, host := range hosts {
			switch at := host + prefix; {
			case wildcard && prefix == "/":
				specs = append(specs, PurgeSpec{All: true, Site: host})
			case wildcard:
				specs = append(specs, PurgeSpec{Prefix: at})
			default:
				specs = append(specs, PurgeSpec{URL: at})
			}
		}
	}
	if len(specs) > cloudfrontPaths || wildcards > cloudfrontWildcards {
		return nil, "TooManyInvalidationsInProgress", fmt.Errorf("the most is %d paths, and %d with a wildcard", cloudfrontPaths, cloudfrontWildcards)
	}
	return specs, "", nil
}

// add notes an invalidation that is to be made, unless it is known by its CallerReference.
func (l *invalidations) add(distribution string, batch InvalidationBatch, now time.Time) (made *invalidation, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, made := range l.all {
		if made.distribution == distribution && made.InvalidationBatch.CallerReference == batch.CallerReference {
			return made, true
		}
	}
	l.n++
	made = &invalidation{distribution: distribution, Invalidation: Invalidation{ID: fmt.Sprintf("I%013d", l.n), Status: inProgress,
		CreateTime: now.UTC().Format(time.RFC3339), InvalidationBatch: batch}}
	if l.all = append(l.all, made); len(l.all) > cloudfrontKept {
		l.all = slices.Delete(l.all, 0, 1)
	}
	return made, false
}

func (l *invalidations) remove(made *invalidation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(i *invalidation) bool { return i == made })
}

// purged notes what became of an invalidation.
func (l *invalidations) purged(made *invalidation, p Purged) {
	l.mu.Lock()
	defer l.mu.Unlock()
	made.journals = p.Journals
	if len(p.Pending) == 0 {
		made.Status = completed
	}
}

func (l *invalidations) find(distribution, id string) *invalidation {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, made := range l.all {
		if made.distribution == distribution && made.ID == id {
			return made
		}
	}
	return nil
}

// answer is a copy that may be read, and where its purges stand once they do.
func (l *invalidations) answer(made *invalidation) (Invalidation, []Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return made.Invalidation, made.journals
}

// applied reports whether every node that follows has come as far as some positions. A journal of another epoch has made all older content stale.
func (s *Server) applied(ctx context.Context, journals []Position) bool {
	trees := map[string]*Tree{}
	for _, j := range journals {
		t, known := trees[j.Origin]
		if !known {
			t = new(Tree)
			if err := s.askTree(ctx, j.Origin, treeState, 0, t); err != nil {
				return false
			}
			trees[j.Origin] = t
		}
		if t.Epoch == j.Epoch && slices.ContainsFunc(t.Nodes, func(n TreeNode) bool { return n.Up && n.Seq < j.Seq }) {
			return false
		}
	}
	return true
}
