package mgmt

import (
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"cdnlab/internal/uplot"
)

//go:embed ui
var ui embed.FS

// contentPolicy lets the dashboard load nothing but its own files: what it shows comes from clients, too.
const contentPolicy = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// servePage answers "/": the dashboard for browsers, the list of calls for everything else.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.getIndex(w, r)
		return
	}
	s.sendFile(w, r, "index.html")
}

// serveUI answers the files of the dashboard.
func (s *Server) serveUI(w http.ResponseWriter, r *http.Request) {
	s.sendFile(w, r, strings.TrimPrefix(r.URL.Path, "/ui/"))
}

func (s *Server) sendFile(w http.ResponseWriter, r *http.Request, name string) {
	var data []byte
	switch name {
	case "uPlot.js":
		data = []byte(uplot.Script())
	case "uPlot.css":
		data = []byte(uplot.Style())
	default:
		var err error
		if data, err = fs.ReadFile(ui, path.Join("ui", path.Clean("/"+name))); err != nil {
			http.NotFound(w, r)
			return
		}
	}
	header := w.Header()
	header.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	if strings.HasSuffix(name, ".js") {
		header.Set("Content-Type", "text/javascript; charset=utf-8")
	}
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-cache") // a new binary brings a new page
	_, _ = w.Write(data)                    // the browser has gone
}
