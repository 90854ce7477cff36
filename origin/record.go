package origin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Field is one header field of an object.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Version is one state of an object. It is never changed.
type Version struct {
	Number   uint64    `json:"version"` // from 1
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256,omitempty"` // of the body, in hexadecimal
	Header   []Field   `json:"headers,omitempty"`
	Modified time.Time `json:"modified"`
	Deleted  bool      `json:"deleted,omitempty"` // the object was deleted: there is no body
	From     uint64    `json:"from,omitempty"`    // the version that this one rolled back to
	Body     uint64    `json:"-"`                 // the version whose file holds the body: another one's after a roll-back
}

// ETag is the strong entity tag of the version's body, "" for a deletion.
func (v Version) ETag() string {
	if v.Deleted {
		return ""
	}
	return `"` + v.SHA256[:32] + `"`
}

// get returns the first field of a name, "" without.
func (v Version) get(name string) string {
	for _, f := range v.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// record is a metadata file: a line of JSON and a line with its SHA-256.
type record struct {
	Site string `json:"site"`
	Path string `json:"path"`
	Version
	File uint64 `json:"file,omitempty"` // Version.Body
}

func (r record) encode() ([]byte, error) {
	r.File = r.Body
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return withSum(line), nil
}

func withSum(line []byte) []byte { return fmt.Appendf(line, "\n%x\n", sha256.Sum256(line)) }

// decodeRecord reads a metadata file. Whatever it returns without an error is safe to serve.
func decodeRecord(data []byte) (record, error) {
	line, sum, ok := bytes.Cut(data, []byte("\n"))
	if !ok || !bytes.Equal(sum, fmt.Appendf(nil, "%x\n", sha256.Sum256(line))) {
		return record{}, errors.New("the checksum does not match")
	}
	var r record
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return record{}, fmt.Errorf("decode: %w", err)
	}
	r.Body = r.File
	return r, r.check()
}

func (r record) check() error {
	if err := checkPath(r.Path); err != nil {
		return err
	}
	sum, err := hex.DecodeString(r.SHA256)
	switch {
	case r.Site == "" || strings.ContainsRune(r.Site, 0):
		return fmt.Errorf("bad site %q", r.Site)
	case r.Number == 0 || r.Body > r.Number || r.Size < 0:
		return errors.New("numbers out of range")
	case !r.Deleted && (err != nil || len(sum) != sha256.Size || r.Body == 0):
		return errors.New("no body")
	}
	for _, f := range r.Header {
		if err := checkField(f); err != nil {
			return err
		}
	}
	return nil
}

// unstored are fields that belong to a message or a connection, not to an object, or that the origin computes.
var unstored = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"content-length": true, "content-range": true, "accept-ranges": true, "date": true, "age": true, "via": true, "etag": true,
	"last-modified": true, "server-timing": true, "cache-status": true, "x-cache": true, "x-request-id": true, "host": true,
	"authorization": true, "www-authenticate": true, "proxy-authenticate": true, "proxy-authorization": true,
}

// checkField says why a field cannot be stored with an object.
func checkField(f Field) error {
	lower := strings.ToLower(f.Name)
	switch {
	case !httpguts.ValidHeaderFieldName(f.Name):
		return fmt.Errorf("bad header name %q", f.Name)
	case !httpguts.ValidHeaderFieldValue(f.Value):
		return fmt.Errorf("bad value of header %s: %q", f.Name, f.Value)
	case unstored[lower] || strings.HasPrefix(lower, "cdnlab-"):
		return fmt.Errorf("header %s is the server's own: an object cannot set it", f.Name)
	}
	return nil
}
