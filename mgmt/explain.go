package mgmt

// Explanation says what happened to one request of a client in a place, step by step.
type Explanation struct {
	URL     string   `json:"url"`
	From    string   `json:"from"` // client place
	DNS     Decision `json:"dns"`
	Tiers   []Tier   `json:"tiers"` // in the order in which the request met them: edge first
	TotalMS float64  `json:"total_ms"`
	Status  int      `json:"status"` // of the HTTP response
}

// Decision is how the DNS chose a PoP.
type Decision struct {
	Server     string      `json:"server"`   // that was asked: ADDRESS:PORT
	Evidence   string      `json:"evidence"` // what told the place, in words
	Place      string      `json:"place"`
	Scope      int         `json:"scope"`      // ECS scope prefix length of the answer (RFC 7871 §7.2.1)
	Candidates []Candidate `json:"candidates"` // best first
	Winner     string      `json:"winner"`     // PoP
	Addresses  []string    `json:"addresses"`  // of the answer, in its order
}

// Candidate is a PoP as the DNS sees it from the client's place.
type Candidate struct {
	PoP     string  `json:"pop"`
	RTTMS   float64 `json:"rtt_ms"`
	KM      float64 `json:"km"`
	Healthy bool    `json:"healthy"`
}

// Tier is the part of one node in the answer, as its Cache-Status (RFC 9211) and Server-Timing members tell.
type Tier struct {
	Node   string  `json:"node"`
	Tier   string  `json:"tier"`   // edge, hub or origin
	Result string  `json:"result"` // hit, miss, stale, revalidated, pass; empty for an origin
	MS     float64 `json:"ms"`     // from the request's arrival at the node to the head of its answer
	Detail string  `json:"detail"`
}
