// Package disk keeps cached objects in files under a byte budget, and never returns a byte that it was not given.
//
// Each object is one file, its body at offset 0, so that a chunk is at a fixed offset and sendfile can take it from there. A
// trailer behind the body holds the key, the caller's record of the object and a CRC-32C of each chunk; a footer of fixed size at
// the end tells where the trailer is and sums it up:
//
//	body | key | record | CRC of each chunk | footer
//
// A file is written under another name and renamed when it is whole. Its name is made of a hash of the key and of a number of its
// own, so that no key decides about a path and a path never changes its content: a new record goes behind the old footer.
// Nothing is flushed: after a crash of the machine the sums tell what is whole. Sums of chunks are checked when a process first
// uses them and again by a scrub in the background.
//
//	DIR/objects/3f/3f…9a-0123456789abcdef    DIR/new/…   files being written    DIR/old-…   what is being removed
//
// Which files there are is read from the names in the background after a start; what is asked for meanwhile is looked up by its
// directory.
package disk
