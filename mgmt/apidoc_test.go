package mgmt

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/api.md")

// bodies are what calls answer with; all others answer with an object of the origin's or with nothing.
var bodies = map[string]any{
	"GET /api/v1/status": Status{}, "GET /api/v1/topology": Topology{}, "GET /api/v1/explain": Explanation{}, "GET /api/v1/series": Series{},
	"GET /api/v1/events": Tick{}, "POST /api/v1/faults": Fault{}, "GET /api/v1/scrub": Scrub{}, "POST /api/v1/scrub/blocks": Blocked{}, "POST /api/v1/purge": Purged{}, "POST /api/v1/push": Pushed{}, "GET /api/v1/tree": Trees{},
}

// TestAPIDocIsCurrent fails when docs/api.md is not what the routes say.
func TestAPIDocIsCurrent(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# The admin API

At ` + "`http://127.0.0.1:7070`" + ` of a running lab: JSON, under the names 127.0.0.1, localhost and ::1 alone. Calls that change something
need ` + "`Authorization: Bearer`" + ` and the content of ` + "`.cdnlab/token`" + `, are refused to pages of another origin, and are written to the audit log. An error
is ` + "`{\"error\": \"a sentence\"}`" + ` with a status from 400 on. Purges in the
dialects of other CDNs are taken besides: [purging.md](purging.md).

    curl -s http://127.0.0.1:7070/api/v1/status
    curl -s -H "Authorization: Bearer $(cat .cdnlab/token)" -d '{"target": "eu", "latency": "200ms", "for": "30s"}' http://127.0.0.1:7070/api/v1/faults

| call | what it does | token |
|---|---|---|
`)
	routes := (&Server{}).newRoutes()
	for _, r := range routes {
		token := ""
		if r.token {
			token = "yes"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", r.method, r.path, strings.ReplaceAll(r.does, "|", "\\|"), token)
	}
	b.WriteString("\n## Answers\n\nNames of fields and the kind of their values; `?` marks what may be left out or null.\n")
	for _, r := range routes {
		if body, ok := bodies[r.method+" "+r.path]; ok {
			fmt.Fprintf(&b, "\n`%s %s`\n\n", r.method, r.path)
			describeType(&b, reflect.TypeOf(body), "    ")
		}
	}
	const file = "../docs/api.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Error("docs/api.md is not what the routes say: go test ./mgmt -run APIDoc -update")
	}
}

// describeType writes a field a line.
func describeType(b *strings.Builder, t reflect.Type, indent string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			describeType(b, f.Type, indent)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		optional := strings.Contains(options, "omit") || f.Type.Kind() == reflect.Pointer
		kind, inner := kindOf(f.Type)
		if optional {
			name += "?"
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, kind)
		if inner != nil {
			describeType(b, inner, indent+"  ")
		}
	}
}

// kindOf names a type; inner is the struct that it holds.
func kindOf(t reflect.Type) (kind string, inner reflect.Type) {
	texts := []string{"time.Time", "netip.Addr", "netip.Prefix", "netip.AddrPort"}
	switch {
	case slices.Contains(texts, t.String()):
		return "text", nil
	case t == reflect.TypeFor[column]():
		return "list of number?", nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		kind, inner = kindOf(t.Elem())
		return "list of " + kind, inner
	case reflect.Map:
		kind, inner = kindOf(t.Elem())
		return "map of " + kind, inner
	case reflect.Struct:
		return "object", t
	case reflect.String:
		return "text", nil
	case reflect.Bool:
		return "true or false", nil
	}
	return "number", nil
}
