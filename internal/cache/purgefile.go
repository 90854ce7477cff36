package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// purgeFile makes purges outlive the process. What is on disk was stored under the epoch of this file, which another one does not
// have: without the file, or with one that is damaged, nothing that was stored before is found.
//
// Its beginning is purgeMagic, the epoch and a sum of both. Then follow records, each with a sum of its head and one of its value:
// what a crash has cut off at the end was not acknowledged, anything else that is wrong makes the whole file void.
type purgeFile struct {
	path  string
	f     *os.File
	epoch uint64
	size  int64
}

const (
	purgeMagic    = "cdnlab purges 1\n"
	purgeHeadSize = len(purgeMagic) + 8 + 4
	recordHead    = 36
	maxPurgeValue = 64 << 10
)

// purgeRecord is one purge, or the state that a new file begins with.
type purgeRecord struct {
	kind   recordKind
	soft   bool
	strict bool
	ticket Ticket
	time   int64
	value  []byte // the key or prefix; the hash of a tag
}

type recordKind byte

// The kinds of a record: a Scope, or recordState, which has the number of purges as its ticket and ruleFloor as its time.
const recordState recordKind = 0xff

var purgeTable = crc32.MakeTable(crc32.Castagnoli)

func (r *purgeRecord) append(b []byte) []byte {
	from := len(b)
	soft := byte(0)
	switch {
	case r.soft && r.strict:
		soft = 2
	case r.soft:
		soft = 1
	}
	b = append(b, byte(r.kind), soft, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.value)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(r.value, purgeTable))
	b = binary.BigEndian.AppendUint64(b, uint64(r.ticket))
	b = binary.BigEndian.AppendUint64(b, uint64(r.time))
	b = binary.BigEndian.AppendUint32(b, 0) // to come
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], purgeTable))
	return append(b, r.value...)
}

var errPurgeFile = errors.New("the file of purges is damaged")

// parsePurges reads a whole file.
func parsePurges(b []byte) (epoch uint64, records []purgeRecord, err error) {
	if len(b) < purgeHeadSize || string(b[:len(purgeMagic)]) != purgeMagic ||
		crc32.Checksum(b[:purgeHeadSize-4], purgeTable) != binary.BigEndian.Uint32(b[purgeHeadSize-4:]) {
		return 0, nil, errPurgeFile
	}
	epoch = binary.BigEndian.Uint64(b[len(purgeMagic):])
	for b = b[purgeHeadSize:]; len(b) >= recordHead; {
		if crc32.Checksum(b[:recordHead-4], purgeTable) != binary.BigEndian.Uint32(b[recordHead-4:]) {
			return 0, nil, errPurgeFile
		}
		r := purgeRecord{kind: recordKind(b[0]), soft: b[1] > 0, strict: b[1] == 2, ticket: Ticket(binary.BigEndian.Uint64(b[12:])), time: int64(binary.BigEndian.Uint64(b[20:]))}
		n, sum := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		b = b[recordHead:]
		if uint64(n) > uint64(len(b)) {
			break
		}
		r.value = b[:n:n]
		b = b[n:]
		if crc32.Checksum(r.value, purgeTable) != sum || r.kind == recordKind(ScopeTag) && n != 8 || r.kind > recordKind(ScopeAll) && r.kind != recordState {
			return 0, nil, errPurgeFile
		}
		records = append(records, r)
	}
	return epoch, records, nil
}

// readPurges reads the file in a directory. Without one, or with one that is damaged, the epoch is new.
func readPurges(dir string) (epoch uint64, records []purgeRecord, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "purges"))
	if err == nil {
		epoch, records, err = parsePurges(b)
	}
	if err != nil {
		epoch = rand.Uint64()
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return epoch, records, err
}

// distrust has nothing count of what is in a directory: purges that are made meanwhile are not noted there. It fails on a disk that takes
// no writes, as does whoever notes beside the files how far the purges of others have been followed.
func distrust(dir string) error {
	err := os.Remove(filepath.Join(dir, "purges"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// writePurges puts a file with these records in the place of what there is, and opens it to be appended to.
func writePurges(dir string, epoch uint64, records []purgeRecord) (*purgeFile, error) {
	p := &purgeFile{path: filepath.Join(dir, "purges"), epoch: epoch}
	b := binary.BigEndian.AppendUint64([]byte(purgeMagic), epoch)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, purgeTable))
	for i := range records {
		b = records[i].append(b)
	}
	f, err := os.OpenFile(p.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		_ = f.Close() // the file is of no use
		return nil, err
	}
	p.f, p.size = f, int64(len(b))
	return p, nil
}

// add appends a purge.
func (p *purgeFile) add(r *purgeRecord) error {
	if len(r.value) > maxPurgeValue {
		return fmt.Errorf("a purge of %d bytes", len(r.value))
	}
	b := r.append(nil)
	n, err := p.f.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("note purge: %w", err)
	}
	p.size += int64(n)
	return nil
}

// replay takes up what was noted of purges, and returns when single keys were purged last.
func (l *purgeLog) replay(records []purgeRecord) map[string]Ticket {
	keys := map[string]Ticket{}
	for i := range records {
		r := &records[i]
		at := stamp{r.ticket, r.time, r.strict}
		switch {
		case r.kind == recordState:
			l.now, l.ruleFloor = r.ticket, Ticket(r.time)
			l.ruled = l.now
			continue
		case r.kind == recordKind(ScopeKey) && !r.soft:
			keys[string(r.value)] = r.ticket
		case r.kind == recordKind(ScopeAll) && !r.soft:
			l.ruleFloor = r.ticket
		case r.kind == recordKind(ScopeTag):
			l.tag(binary.BigEndian.Uint64(r.value), r.soft, at)
		default:
			l.other(Purge{Scope: Scope(r.kind), Value: string(r.value), Soft: r.soft}, at)
		}
		l.now, l.ruled = r.ticket, r.ticket
	}
	l.floor = l.now
	return keys
}

// records returns what is to be noted so that replay brings back the rules.
func (l *purgeLog) records() []purgeRecord {
	list := []purgeRecord{}
	add := func(s Scope, soft bool, at stamp, value []byte) {
		if at.at > 0 {
			list = append(list, purgeRecord{kind: recordKind(s), soft: soft, strict: at.strict, ticket: at.at, time: at.time, value: value})
		}
	}
	for hash := range maps.Keys(l.tags) {
		value := binary.BigEndian.AppendUint64(nil, hash)
		add(ScopeTag, false, l.tags[hash].hard, value)
		add(ScopeTag, true, l.tags[hash].soft, value)
	}
	for _, r := range l.others.list {
		add(r.Scope, r.Soft, r.stamp, []byte(r.Value))
	}
	add(ScopeAll, true, l.allSoft, nil)
	slices.SortStableFunc(list, func(a, b purgeRecord) int { return int(a.ticket) - int(b.ticket) })
	return append(list, purgeRecord{kind: recordState, ticket: l.now, time: int64(l.ruleFloor)})
}
