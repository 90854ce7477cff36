// Package experiment runs experiment files: it starts the network of each variant, lets clients in several cities ask for
// objects, breaks things and changes content at their time, and holds what came of it against what was expected.
//
//	topology.Experiment ──▶ sequence (pure) ──▶ vegeta ──▶ clients in their cities ──▶ edges
//	                                              │
//	      report ◀── figures (pure) ◀── samples ──┘◀── counters of hubs and origins
//
// Which object the n-th request asks for, and from where, follows from the experiment's seed and n alone. Each request is
// that of another user: it resolves anew, but for the second that the answer is kept.
package experiment
