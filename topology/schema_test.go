package topology

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// TestSchemaIsCommitted fails when schema.json is not what the types say.
func TestSchemaIsCommitted(t *testing.T) {
	golden(t, "schema.json", string(Schema()))
	golden(t, "experiment.schema.json", string(ExperimentSchema()))
}

// property finds a part of the schema by keys.
func property(t *testing.T, keys ...string) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		next, ok := s[key].(map[string]any)
		if !ok {
			t.Fatalf("the schema has no %s", strings.Join(keys, "."))
		}
		s = next
	}
	return s
}

// TestSchemaAndDecoderAgreeOnSpelling checks patterns of the schema against what decoding takes.
func TestSchemaAndDecoderAgreeOnSpelling(t *testing.T) {
	for _, c := range []struct {
		name         string
		leaf         leaf
		right, wrong []string
	}{
		{"sizes", &size{}, []string{"64MiB", "1.5GiB", "0", "10 KB", "7B"}, []string{"64", "64mb", "MiB", "", ".5MiB", "5.MiB", "1e3MiB", "-1MiB", "64MiB ", "1.2.3MiB"}},
		{"bandwidths", &rate{}, []string{"1Gbps", "0.5kbps", "0"}, []string{"1", "1gbps", "1G", "1Gbit/s"}},
		{"durations", &duration{}, []string{"40ms", "1.5h", "365d", "100us", "0"}, []string{"40", "1h30m", "1w", "40 ms ms", "soon"}},
		{"shares", &share{}, []string{"0.1%", "99%", "0"}, []string{"0.1", "10‰", "%"}},
		{"names", &label{}, []string{"a", "paris-1", "7", strings.Repeat("n", 59)}, []string{"", "Paris", "-a", "a-", "a.b", "a_b", "é"}},
		{"hosts", &host{}, []string{"www.cdn.test", "WWW.cdn.test.", "a"}, []string{"", "-a.b", "a b", "a/b", "a:80", "*.a"}},
		{"URLs", &appURL{}, []string{"http://127.0.0.1:3000", "https://[::1]/a?b"}, []string{"", "127.0.0.1", "ftp://a", "http://", "http:///a"}},
		{"path prefixes", &urlPrefix{}, []string{"/", "/a.b/"}, []string{"", "a", "/a?b", "/#"}},
		{"paths", &urlPath{}, []string{"/", "/a?b=c"}, []string{"", "a", "/a#b", "/a b"}},
		{"mail exchanges", &mx{}, []string{"10 mail", "0 mail.cdn.test."}, []string{"mail", "x mail", "10"}},
		{"admissions", &admission{}, []string{"always", "second-hit", "leave-copy-down", "size 1MiB", "size 1.5 KiB", "probability 10%", "probability 0"},
			[]string{"", "always ", "size", "size 1", "1MiB", "size<=1MiB", "probability 0.1", "probability", "probability 10 %%", "second-hit 2"}},
		{"queries", &queryRule{}, []string{"keep", "sort", "drop"}, []string{"", "Keep", "none"}},
	} {
		s := c.leaf.schema()
		allows := func(text string) bool {
			if words, ok := s["enum"].([]string); ok {
				return strings.Contains(" "+strings.Join(words, " ")+" ", " "+text+" ") && text != ""
			}
			return regexp.MustCompile(s["pattern"].(string)).MatchString(text)
		}
		for _, text := range c.right {
			if err := c.leaf.parse(text); err != nil || !allows(text) {
				t.Errorf("%s: %q: decoding says %v, the schema %v", c.name, text, err, allows(text))
			}
		}
		for _, text := range c.wrong {
			if err := c.leaf.parse(text); err == nil || allows(text) {
				t.Errorf("%s: %q: decoding says %v, the schema %v", c.name, text, err, allows(text))
			}
		}
	}
}

func TestSchemaSaysWhatDecodingDoes(t *testing.T) {
	edge := property(t, "properties", "edges", "additionalProperties")
	if edge["additionalProperties"] != false {
		t.Error("the schema lets unknown keys through")
	}
	if _, ok := property(t, "properties")["prices"]; ok {
		t.Error("the schema has a reserved key")
	}
	for _, c := range []struct {
		keys []string
		want string
	}{
		{[]string{"properties", "version"}, `{"default":1,"description":"Version of this format.","enum":[1],"type":"integer"}`},
		{[]string{"properties", "dns", "properties", "servers"},
			`{"default":1,"description":"How many DNS servers there are; all give the same answers.","maximum":254,"minimum":1,"type":"integer"}`},
		{[]string{"properties", "dns", "properties", "ttl"},
			`{"default":"60s","description":"How long resolvers may keep an answer. Whole seconds. At most 7d.","maximum":0,"minimum":0,` +
				`"pattern":"^([0-9]+(\\.[0-9]+)? ?(us|ms|s|m|h|d)|0)$","type":["string","integer"]}`},
		{[]string{"properties", "sites", "additionalProperties", "properties", "cache", "properties", "query"},
			`{"default":"keep","description":"What becomes of the query in the cache key: kept as it is, its parameters sorted, or dropped.","enum":["keep","sort","drop"],"type":"string"}`},
		{[]string{"properties", "links", "items", "properties", "between"},
			`{"description":"Its two ends: names of origins, hubs and edges, clients.NAME, or dns.","items":{"type":"string"},"maxItems":2,"minItems":2,"type":"array"}`},
	} {
		got, err := json.Marshal(property(t, c.keys...))
		if err != nil || string(got) != c.want {
			t.Errorf("%v:\ngot  %s\nwant %s", c.keys, got, c.want)
		}
	}
}

// TestEveryKeyIsDescribed walks the whole schema.
func TestEveryKeyIsDescribed(t *testing.T) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		properties, _ := m["properties"].(map[string]any)
		for key, p := range properties {
			if d, _ := p.(map[string]any)["description"].(string); !strings.HasSuffix(d, ".") {
				t.Errorf("%s.%s is described as %q", path, key, d)
			}
			walk(path+"."+key, p)
		}
		walk(path+".*", m["additionalProperties"])
		walk(path+"[]", m["items"])
		forms, _ := m["oneOf"].([]any)
		for _, form := range forms {
			walk(path, form)
		}
	}
	walk("", property(t))
	var experiment map[string]any
	if err := json.Unmarshal(ExperimentSchema(), &experiment); err != nil {
		t.Fatal(err)
	}
	walk("experiment", experiment)
}
