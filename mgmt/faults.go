package mgmt

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// FaultSpec says what is to go wrong, where and for how long. Quantities are written with their units, as in a topology.
type FaultSpec struct {
	// Target is a server ("paris-1"), all servers of a PoP, hub or origin ("paris", "hubs.eu"), or the link between two
	// entries ("paris:eu", "clients.tokyo:tokyo").
	Target    string `json:"target"`
	Down      bool   `json:"down,omitempty"`      // a server ends; nothing crosses a link
	Reset     bool   `json:"reset,omitempty"`     // connections are broken off with a RST, new ones too
	Latency   string `json:"latency,omitempty"`   // added to the RTT
	Jitter    string `json:"jitter,omitempty"`    // up to this much more, each turn anew
	Loss      string `json:"loss,omitempty"`      // of packets
	Bandwidth string `json:"bandwidth,omitempty"` // at most
	SlowDisk  string `json:"slow_disk,omitempty"` // how much longer each read or write of an object takes
	For       string `json:"for,omitempty"`       // it ends after this time; "" holds until it is removed
}

// Fault is a fault that holds.
type Fault struct {
	ID string `json:"id"`
	FaultSpec
	Nodes []string   `json:"nodes,omitempty"` // servers that it hits
	Link  []string   `json:"link,omitempty"`  // the two ends of the link that it hits, in full
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"`
}

// ErrNoFault says that no fault has the given ID.
var ErrNoFault = errors.New("no such fault")

const maxFaultSpec = 16 << 10

func (s *Server) getFaults(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string][]Fault{"faults": s.cfg.Lab.Faults()})
}

func (s *Server) addFault(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFaultSpec))
	dec.DisallowUnknownFields()
	var spec FaultSpec
	if err := dec.Decode(&spec); err != nil {
		writeError(w, http.StatusBadRequest, "want a JSON object such as {\"target\": \"paris-1\", \"down\": true, \"for\": \"10s\"}: %v", err)
		return
	}
	fault, err := s.cfg.Lab.AddFault(spec)
	if err != nil {
		writeError(w, http.StatusBadRequest, "%v", err)
		return
	}
	writeJSON(w, http.StatusCreated, fault)
}

func (s *Server) removeFault(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	switch err := s.cfg.Lab.RemoveFault(id); {
	case errors.Is(err, ErrNoFault):
		writeError(w, http.StatusNotFound, "no fault %q; GET /api/v1/faults lists them", id)
	case err != nil:
		writeError(w, http.StatusInternalServerError, "remove fault %s: %v", id, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
