package mgmt

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"cdnlab/topology"
)

// Scrub is what limits and block lists of the edges have done, and whom they keep out.
type Scrub struct {
	Limits  []LimitCount `json:"limits"`
	Blocked []Blocked    `json:"blocked"`
}

// LimitCount counts what became of the requests at one edge server that one limit was about.
type LimitCount struct {
	Node    string `json:"node"`
	Limit   string `json:"limit"` // "" for blocks that people made
	Passed  uint64 `json:"passed"`
	Delayed uint64 `json:"delayed"`
	Refused uint64 `json:"refused"`
	Blocks  uint64 `json:"blocks"` // clients that the limit put on the block list
	Listed  uint64 `json:"listed"` // requests refused because of the block list
}

// Blocked is a network that is kept out.
type Blocked struct {
	Prefix netip.Prefix `json:"prefix"`
	By     string       `json:"by,omitempty"` // the limit that did it; "" is a person
	Until  *time.Time   `json:"until,omitempty"`
	Nodes  []string     `json:"nodes"` // edge servers that keep it out
}

// BlockSpec is the body of POST /api/v1/scrub/blocks.
type BlockSpec struct {
	Prefix string `json:"prefix"`        // an address or a network
	For    string `json:"for,omitempty"` // "" is until it is unblocked
}

func (s *Server) getScrub(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.cfg.Lab.Scrub())
}

func (s *Server) addBlock(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFaultSpec))
	dec.DisallowUnknownFields()
	var spec BlockSpec
	if err := dec.Decode(&spec); err != nil {
		writeError(w, http.StatusBadRequest, "want a JSON object such as {\"prefix\": \"198.18.2.7\", \"for\": \"10m\"}: %v", err)
		return
	}
	p, ok := parsePrefix(spec.Prefix)
	if !ok {
		writeError(w, http.StatusBadRequest, "prefix: %q is neither an address nor a network such as 198.18.2.0/24", spec.Prefix)
		return
	}
	var ttl time.Duration
	if spec.For != "" {
		var err error
		if ttl, err = topology.ParseDuration(spec.For); err != nil || ttl <= 0 {
			writeError(w, http.StatusBadRequest, "for: %q is not a duration such as 10m", spec.For)
			return
		}
	}
	if err := s.cfg.Lab.Block(p, ttl); err != nil {
		writeError(w, http.StatusConflict, "block %s: %v", p, err)
		return
	}
	b := Blocked{Prefix: p}
	if ttl > 0 {
		until := time.Now().Add(ttl)
		b.Until = &until
	}
	writeJSON(w, http.StatusCreated, b)
}

func (s *Server) removeBlock(w http.ResponseWriter, r *http.Request) {
	p, ok := parsePrefix(r.URL.Query().Get("prefix"))
	switch {
	case !ok:
		writeError(w, http.StatusBadRequest, "prefix: %q is neither an address nor a network such as 198.18.2.0/24", r.URL.Query().Get("prefix"))
	case !s.cfg.Lab.Unblock(p):
		writeError(w, http.StatusNotFound, "%s is not blocked; GET /api/v1/scrub lists who is", p)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}
