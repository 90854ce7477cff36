// Package journal is the ordered log of what an origin tells its tree: publish, push and purge events. It stores and hands out;
// who follows it, and what an event makes a node do, is not known here.
//
// A directory holds one journal, and one process at a time:
//
//	DIR/lock                        held (flock) while the journal is open
//	DIR/position                    a Mark: the epoch, and the last event that was acknowledged
//	DIR/00000000000000000001.log    segments, named for the number of their first event
//	DIR/00000000000000010240.log    the last one is appended to
//
// Numbers are little-endian, sums are CRC-32C, and a record is the same in a file and on the wire:
//
//	segment   | "cdnj" | version 4 | epoch 8 | first 8 | sum 4 | record | record | …
//	                                                           ╱        ╲
//	record                                   | length 4 | sum of the payload 4 | payload |
//	payload                                  | tag 1 | uvarint | … | tag 1 | length uvarint | text | …    tags ascend, none is zero
//
//	Mark      | "cdnm" | count 8 | epoch 8 | sequence 8 | sum 4 |   at 0 and at 4096; the valid one with the higher count rules
//
// # What an acknowledgement means
//
// Append returns when its events and all before them were flushed (fsync). Callers that come while a flush is under way share the
// next one. The position file is written after the flush and before the acknowledgement, itself unflushed until a segment is full:
// it outlives a process that is killed, and after a loss of power it may name an earlier event, never a later one.
//
// So Open can tell what was lost. What is not whole behind the last acknowledged event was being written when the process died,
// and is cut off. If an acknowledged event is not there or does not match its sum, in any segment, then followers may know
// events that the journal does not: a new epoch begins, without any event, and the log says why.
//
// # A restored directory
//
// An older copy of a whole directory is in order by itself, so nothing in it tells that events are missing. Two ways lead to a new
// epoch: whoever restores a copy removes DIR/position from it; and a follower that shows a position of this epoch beyond
// Journal.Position is the proof that a copy was restored, on which the origin calls Renew. A follower that comes only after the
// restored journal has counted past it proves nothing by its number: compare the time of its last event with Read(seq-1, 1) where
// that matters.
package journal
