package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cdnlab/internal/httpcache"
)

// held returns the entries of a store.
func (s *Store) held() []*Object { return slices.Collect(s.entries.table.all()) }

// flow is a fill of a workload and the one reader that it may have.
type flow struct {
	*Fill
	key, a, b string // what was asked
	reader    *Reader
	begun     int
}

// stored is what a workload knows of an object.
type stored struct {
	key, a, b   string
	begun, done int // steps
}

// workload drives a store with random calls and holds what it finds there against what it did.
type workload struct {
	*testing.T
	*Store
	rng     *rand.Rand
	buffer  []byte
	step    int
	flows   []*flow
	objects map[*Object]stored
	latest  map[string]int // step at which a response was last stored for key, a and b
	purged  map[string]int // step of the last purge of a key
	cleared int
}

var (
	keys   = strings.Fields("k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 ka kb kc kd ke kf kg kh ki kj")
	values = []string{"x", "y", "z", "w"}
	varies = []string{"", "", "A", "B", "A, B"}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func (w *workload) begin() {
	if len(w.flows) == 12 {
		return
	}
	f := &flow{key: pick(w.rng, keys), a: pick(w.rng, values), b: pick(w.rng, values), begun: w.step}
	adm := admitted("Vary", pick(w.rng, varies), "X", strings.Repeat("x", w.headerSize()))
	adm.Stored = w.rng.IntN(10) > 0
	length := int64(-1)
	if w.rng.IntN(2) == 0 {
		length = w.rng.Int64N(w.cfg.MaxObject*5/4 + 1)
	}
	f.Fill = w.Begin(FillConfig{Key: []byte(f.key), Ask: askFor("A", f.a, "B", f.b), Admission: adm, Length: length, Ticket: w.Ticket()})
	if w.rng.IntN(2) == 0 {
		f.reader, _ = f.Reader(All)
	}
	w.flows = append(w.flows, f)
}

// headerSize is mostly small, at times more than fits.
func (w *workload) headerSize() int {
	switch w.rng.IntN(30) {
	case 0:
		return w.rng.IntN(int(w.cfg.Budget) + 1)
	case 1:
		return int(w.cfg.Budget) + 1
	}
	return w.rng.IntN(300)
}

// flow picks a fill; nil when there is none.
func (w *workload) flow() *flow {
	if len(w.flows) == 0 {
		return nil
	}
	return w.flows[w.rng.IntN(len(w.flows))]
}

func (w *workload) end(f *flow) {
	w.flows = slices.DeleteFunc(w.flows, func(o *flow) bool { return o == f })
	if f.reader != nil {
		_ = f.reader.Close()
	}
}

// write keeps to half a chunk at a time and lets the reader follow, so that no fill waits for it.
func (w *workload) write(f *flow) {
	p := w.buffer[:w.rng.IntN(min(w.cfg.Chunk, passChunk)/2)+1]
	if f.length >= 0 && w.rng.IntN(20) > 0 {
		p = p[:max(0, min(int64(len(p)), f.length-f.size))]
	}
	if _, err := f.Write(p); err != nil {
		f.Abort(err)
		w.end(f)
		return
	}
	for f.reader != nil && f.reader.off < f.size {
		if _, err := f.reader.Read(w.buffer); err != nil {
			w.Fatalf("step %d: Read() = %v, want no error", w.step, err)
		}
	}
}

func (w *workload) complete(f *flow) {
	if f.length >= 0 && f.size != f.length && w.rng.IntN(4) > 0 {
		return // not yet
	}
	announced, size := f.length, f.size
	o, err := f.Complete()
	w.end(f)
	if wrong := announced >= 0 && announced != size; wrong != (err != nil) || wrong && o != nil {
		w.Fatalf("step %d: Complete() = %v, %v, for %d bytes of %d", w.step, o, err, size, announced)
	}
	if o == nil {
		return
	}
	if w.purged[f.key] > f.begun || w.cleared > f.begun {
		w.Fatalf("step %d: Complete() stored %s, requested in step %d and purged since", w.step, f.key, f.begun)
	}
	w.objects[o] = stored{f.key, f.a, f.b, f.begun, w.step}
	w.latest[f.key+f.a+f.b] = w.step
	if got := find(w.Store, f.key, askFor("A", f.a, "B", f.b)); got != o {
		w.Fatalf("step %d: Find(%s) = %v, want the object just stored", w.step, f.key, got)
	}
}

// find looks up, checks what it gets, and at times validates it.
func (w *workload) find() {
	key, a, b := pick(w.rng, keys), pick(w.rng, values), pick(w.rng, values)
	o := find(w.Store, key, askFor("A", a, "B", b))
	if o == nil {
		return
	}
	is, known := w.objects[o]
	fields := httpcache.ParseVary(o.Header())
	switch {
	case !known || is.key != key:
		w.Fatalf("step %d: Find(%s) = what was never stored there", w.step, key)
	case strings.Contains(fields, "a") && is.a != a || strings.Contains(fields, "b") && is.b != b:
		w.Fatalf("step %d: Find(%s, %s, %s) = the response to %s, %s that varies by %s", w.step, key, a, b, is.a, is.b, fields)
	case is.begun < w.purged[key] || is.begun < w.cleared:
		w.Fatalf("step %d: Find(%s) = a response of step %d, purged since", w.step, key, is.begun)
	case is.done < w.latest[key+a+b]:
		w.Fatalf("step %d: Find(%s) = the response stored in step %d, want one of step %d or later", w.step, key, is.done, w.latest[key+a+b])
	}
	if w.rng.IntN(3) == 0 {
		w.replace(o, is)
	}
}

func (w *workload) replace(o *Object, is stored) {
	adm := httpcache.Admission{Stored: w.rng.IntN(5) > 0, Meta: o.Meta()}
	adm.Header = httpcache.MakeHeader("Vary", o.Meta().Vary, "X", strings.Repeat("y", w.headerSize()))
	if w.rng.IntN(10) == 0 {
		adm.Meta.Vary = httpcache.ParseVary(httpcache.MakeHeader("Vary", pick(w.rng, varies)))
	}
	w.objects[w.Replace(o, adm)] = is
}

// check holds the store's accounts against its entries.
func (w *workload) check() {
	var bytes, reserved int64
	reachable := map[string]bool{}
	entries := w.held()
	for _, o := range entries {
		bytes += o.cost()
		v := o.more().variants
		if v == nil {
			continue
		}
		if n := len(v.keys); n > w.cfg.MaxVariants {
			w.Fatalf("step %d: %s lists %d variants, want at most %d", w.step, o.key(), n, w.cfg.MaxVariants)
		}
		for _, k := range v.keys {
			reachable[k] = true
		}
	}
	for _, f := range w.flows {
		reserved += f.reserved
	}
	switch got := w.Stats(); {
	case w.Store.bytes != bytes || w.reserved != reserved || got.Bytes != bytes+reserved || got.Objects != len(entries):
		w.Fatalf("step %d: accounted %d + %d reserved, want %d + %d: Stats() = %+v", w.step, w.Store.bytes, w.reserved, bytes, reserved, got)
	case got.Bytes > w.cfg.Budget || reserved > w.cfg.Budget/2:
		w.Fatalf("step %d: %d bytes and %d reserved, want at most %d", w.step, bytes, reserved, w.cfg.Budget)
	}
	for _, o := range entries {
		if strings.Contains(o.key(), "\x00") && !reachable[o.key()] {
			w.Fatalf("step %d: %q is held and no marker lists it", w.step, o.key())
		}
	}
}

func (w *workload) do() {
	f := w.flow()
	switch n := w.rng.IntN(100); {
	case n < 15 || f == nil:
		w.begin()
	case n < 50:
		for range w.rng.IntN(20) + 1 {
			if slices.Contains(w.flows, f) {
				w.write(f)
			}
		}
	case n < 65:
		w.complete(f)
	case n < 68:
		f.Abort(errors.New("broken off"))
		w.end(f)
	case n < 69 && f.reader != nil:
		_ = f.reader.Close()
		f.reader = nil
	case n < 70:
		key := pick(w.rng, keys)
		w.Purge(Purge{Value: key}, 0)
		w.purged[key] = w.step
	case w.rng.IntN(300) == 0:
		w.Purge(Purge{Scope: ScopeAll}, 0)
		w.cleared = w.step
	default:
		w.find()
	}
}

func TestBudgetIsExact(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
	}{
		{"small chunks", Config{Budget: 64 << 10, Chunk: 512}},
		{"chunks that grow", Config{Budget: 256 << 10, Chunk: 16 << 10, MaxVariants: 3}},
		{"every body in one chunk", Config{Budget: 128 << 10, MaxVariants: 2}},
		{"budget for next to nothing", Config{Budget: 2 << 10, Chunk: 64}},
		{"no budget", Config{}},
	}
	for _, tt := range tests {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(tt.name, " ", seed), func(t *testing.T) {
				w := workload{T: t, Store: New(tt.cfg), rng: rand.New(rand.NewPCG(seed, 1)), buffer: make([]byte, 1<<20),
					objects: map[*Object]stored{}, latest: map[string]int{}, purged: map[string]int{}}
				for w.step = 1; w.step <= 4000; w.step++ {
					w.do()
					w.check()
				}
				for len(w.flows) > 0 {
					f := w.flows[0]
					f.Abort(errors.New("the end"))
					w.end(f)
					w.check()
				}
				if tt.cfg.Budget > 4<<10 && (w.evictions == 0 || len(w.objects) < 100) {
					t.Errorf("%d evictions of %d objects, want a store under pressure", w.evictions, len(w.objects))
				}
			})
		}
	}
}

// Garbage is collected before each measurement, so that what is left is held.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAccountedBytesCoverTheMemory(t *testing.T) {
	for _, size := range []int{0, 100, 1024, 5000, 100_000} {
		t.Run(fmt.Sprint("bodies of ", size), func(t *testing.T) {
			before := heap()
			s := New(Config{Budget: 8 << 20, Chunk: 64 << 10})
			for i := range 4 * int(s.cfg.Budget) / (size + 600) {
				f := begin(s, fmt.Sprintf("www.cdn.test/object-%08d", i), askFor(), admitted("Content-Type", "text/plain", "ETag", `"an entity tag"`, "Date", "Thu, 26 Nov 2026 09:51:31 GMT"))
				write(t, f, pattern(size))
				complete(t, f)
			}
			used := heap() - before
			if limit := s.Stats().Bytes * 110 / 100; used > limit {
				t.Errorf("memory = %d bytes, accounted %d", used, s.Stats().Bytes)
			}
			if least := s.Stats().Bytes * 75 / 100; used < least {
				t.Errorf("memory = %d bytes, accounted %d: more than there is", used, s.Stats().Bytes)
			}
			runtime.KeepAlive(s)
		})
	}
}
