package origin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/topology"
)

// directory is the content of an origin of kind Dir: the files below a root, which no path and no symbolic link leaves. It
// lists nothing, and names that start with a dot do not exist, but for /.well-known/ (RFC 8615).
type directory struct {
	root *os.Root
	seek func()
	now  func() time.Time
}

func newDirectory(dir string, seek func(), now func() time.Time) (*directory, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory to serve: %w", err)
	}
	return &directory{root, seek, now}, nil
}

const dirMethods = "GET, HEAD, OPTIONS"

func (d *directory) serve(ctx *fasthttp.RequestCtx, _ *topology.Site, t target) {
	switch string(ctx.Method()) {
	case http.MethodGet, http.MethodHead:
		d.read(ctx, t)
	case http.MethodOptions:
		ctx.Response.Header.Set("Allow", dirMethods)
		ctx.SetStatusCode(http.StatusNoContent)
	default:
		ctx.Response.Header.Set("Allow", dirMethods)
		say(ctx, http.StatusMethodNotAllowed, "files take %s", dirMethods)
	}
}

func (d *directory) read(ctx *fasthttp.RequestCtx, t target) {
	path, err := parsePath(t.path)
	if err != nil {
		say(ctx, http.StatusBadRequest, "%v", err)
		return
	}
	name, ok := relativeName(path)
	if !ok {
		say(ctx, http.StatusNotFound, "no such file")
		return
	}
	d.seek()
	f, info, err := d.open(name)
	if err == nil && info.IsDir() {
		// The links of its index are relative to the directory, which ends in a slash.
		location := escapePath(path) + "/"
		if t.query != "" {
			location += "?" + t.query
		}
		ctx.Response.Header.Set("Location", location)
		say(ctx, http.StatusMovedPermanently, "this is a directory: %s", location)
		_ = f.Close() // nothing was written
		return
	}
	if err != nil {
		say(ctx, http.StatusNotFound, "no such file")
		return
	}
	d.send(ctx, f, info)
}

// relativeName turns a path into a name below the root; a directory's is that of its index. It reports false for names
// that do not exist whatever the disk says.
func relativeName(path string) (string, bool) {
	name := strings.TrimPrefix(path, "/")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	for i, segment := range strings.Split(name, "/") {
		hidden := strings.HasPrefix(segment, ".") && !(i == 0 && segment == ".well-known")
		if segment == "" || hidden {
			return "", false
		}
	}
	return name, true
}

// open opens a regular file or a directory. A pipe or a device is none, and opening one does not block.
func (d *directory) open(name string) (*os.File, fs.FileInfo, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func (d *directory) send(ctx *fasthttp.RequestCtx, f *os.File, info fs.FileInfo) {
	taken := false
	c := &content{
		header:     []Field{{"Content-Type", contentType(f.Name())}},
		validators: validators{fileTag(info, d.now()), info.ModTime()},
		size:       info.Size(),
		section: func(start, n int64) (io.Reader, error) {
			taken = true
			return &stableFile{f: f, was: info, pos: start, end: start + n}, nil
		},
	}
	if err := respond(ctx, c); err != nil {
		say(ctx, http.StatusInternalServerError, "%v", err)
	}
	if !taken {
		_ = f.Close() // nothing was written
	}
}

// fileTag makes an entity tag of time and size. It is strong, but not yet for a file that changed within the last second: it may
// change again without its time of modification telling (RFC 9110 §8.8.1).
func fileTag(info fs.FileInfo, now time.Time) string {
	tag := fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size())
	if now.Sub(info.ModTime()) < time.Second {
		return "W/" + tag
	}
	return tag
}

// stableFile reads part of a file and fails rather than end well when the file changed meanwhile: the response breaks
// off, and no cache takes a mixture of two files for one.
type stableFile struct {
	f        *os.File
	was      fs.FileInfo
	pos, end int64
}

func (s *stableFile) Read(p []byte) (int, error) {
	if s.pos >= s.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.end-s.pos)]
	n, err := s.f.ReadAt(p, s.pos)
	s.pos += int64(n)
	if err == io.EOF {
		err = nil
		if n < len(p) {
			err = errors.New("the file shrank while it was served")
		}
	}
	if err != nil || s.pos < s.end {
		return n, err
	}
	is, err := s.f.Stat()
	if err == nil && (is.Size() != s.was.Size() || !is.ModTime().Equal(s.was.ModTime())) {
		err = errors.New("the file changed while it was served")
	}
	if err != nil {
		return 0, err // holds back the last piece
	}
	return n, nil
}

func (s *stableFile) Close() error { return s.f.Close() }
