package mgmt

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// fastlyKeys is how many surrogate keys one call may name ("Purge multiple surrogate key tags", fastly.com/documentation/reference/api/purging).
const fastlyKeys = 256

// fastlyDone is Fastly's answer to a purge.
type fastlyDone struct {
	Status string `json:"status"`
	ID     string `json:"id,omitempty"`
}

// fastlyError is the body of its errors.
type fastlyError struct {
	Msg    string `json:"msg"`
	Detail string `json:"detail,omitempty"`
}

// fastly lets a call pass that carries the lab's token in Fastly-Key, or as this API's own calls do.
func (s *Server) fastly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.isToken(r.Header.Get("Fastly-Key")) && !s.isToken(bearer(r)) {
			s.logRefusal(r, http.StatusUnauthorized, "no Fastly-Key that is the lab's token")
			w.Header().Set("WWW-Authenticate", `Bearer realm="cdnlab"`)
			writeJSON(w, http.StatusUnauthorized, fastlyError{"Provided credentials are missing or invalid", "Fastly-Key is the content of the file named token in the data directory"})
			return
		}
		next(w, r)
	}
}

// fastlyPurgeURL purges one URL, for PURGE and for POST /purge/URL.
func (s *Server) fastlyPurgeURL(w http.ResponseWriter, r *http.Request, url string) {
	if done, ok := s.fastlyPurge(w, r, PurgeSpec{URL: url, Soft: fastlySoft(r)}); ok {
		writeJSON(w, http.StatusOK, fastlyDone{"ok", done.id(0)})
	}
}

func (s *Server) fastlyPurgeKey(w http.ResponseWriter, r *http.Request) {
	if done, sites := s.fastlyPurgeService(w, r, []string{r.PathValue("key")}); sites > 0 {
		writeJSON(w, http.StatusOK, fastlyDone{"ok", done.id(0)})
	}
}

// fastlyPurgeKeys purges the keys in Surrogate-Key, or in the body: {"surrogate_keys": ["a", "b"]}. The answer has an id for each.
func (s *Server) fastlyPurgeKeys(w http.ResponseWriter, r *http.Request) {
	keys := strings.Fields(strings.Join(r.Header.Values("Surrogate-Key"), " "))
	if len(keys) == 0 {
		var body struct {
			Keys []string `json:"surrogate_keys"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDialectBody)).Decode(&body); err != nil && err != io.EOF {
			writeJSON(w, http.StatusBadRequest, fastlyError{"Bad request", "want the header Surrogate-Key or a body such as {\"surrogate_keys\": [\"a\"]}: " + err.Error()})
			return
		}
		keys = body.Keys
	}
	done, sites := s.fastlyPurgeService(w, r, keys)
	if sites == 0 {
		return
	}
	ids := map[string]string{}
	for i, key := range keys {
		ids[key] = done.id(i * sites)
	}
	writeJSON(w, http.StatusOK, ids)
}

// fastlyPurgeService purges keys at every site of a service: the first key's purges come first. Without sites it has answered with an error.
func (s *Server) fastlyPurgeService(w http.ResponseWriter, r *http.Request, keys []string) (done Purged, sites int) {
	if len(keys) == 0 || len(keys) > fastlyKeys {
		writeJSON(w, http.StatusBadRequest, fastlyError{"Bad request", fmt.Sprintf("want 1 to %d surrogate keys, in the header Surrogate-Key or in surrogate_keys of a JSON body", fastlyKeys)})
		return done, 0
	}
	hosts, ok := s.fastlyService(w, r)
	if !ok {
		return done, 0
	}
	var specs []PurgeSpec
	for _, key := range keys {
		for _, host := range hosts {
			specs = append(specs, PurgeSpec{Key: key, Site: host, Soft: fastlySoft(r)})
		}
	}
	if done, ok = s.fastlyPurge(w, r, specs...); !ok {
		return done, 0
	}
	return done, len(hosts)
}

// fastlyPurgeAll purges a service. It is never soft.
func (s *Server) fastlyPurgeAll(w http.ResponseWriter, r *http.Request) {
	hosts, ok := s.fastlyService(w, r)
	if !ok {
		return
	}
	var specs []PurgeSpec
	for _, host := range hosts {
		specs = append(specs, PurgeSpec{All: true, Site: host})
	}
	if _, ok := s.fastlyPurge(w, r, specs...); ok {
		writeJSON(w, http.StatusOK, fastlyDone{Status: "ok"})
	}
}

// fastlyService finds the sites of the service in the path.
func (s *Server) fastlyService(w http.ResponseWriter, r *http.Request) (hosts []string, ok bool) {
	id := r.PathValue("service")
	if hosts = s.sitesOf(id); hosts == nil {
		writeJSON(w, http.StatusNotFound, fastlyError{"Record not found", s.whatIDsAre(id)})
		return nil, false
	}
	return hosts, true
}

func (s *Server) fastlyPurge(w http.ResponseWriter, r *http.Request, specs ...PurgeSpec) (Purged, bool) {
	note(w, "purge %s", brief(specs))
	done, status, err := s.purge(r.Context(), specs...)
	if err != nil {
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		writeJSON(w, status, fastlyError{http.StatusText(status), err.Error()})
		return done, false
	}
	done.sayPending(w)
	return done, true
}

// fastlySoft says whether content is to be stale instead of gone: Fastly asks for the header's presence.
func fastlySoft(r *http.Request) bool {
	v := r.Header.Get("Fastly-Soft-Purge")
	return v != "" && v != "0"
}
