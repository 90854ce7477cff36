package mgmt

import (
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The request and the signature of AWS's own example ("Examples of the complete Signature Version 4 signing process", AWS General Reference).
func TestSigV4(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	example := func() *http.Request {
		r, _ := http.NewRequest("GET", "http://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "+
			"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
		return r
	}
	if err := checkSigV4(example(), nil, "iam", secret, at); err != nil {
		t.Errorf("the example: %v", err)
	}
	edit := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		body   string
		says   string
	}{
		"another body":          {func(*http.Request) {}, "x", "does not match"},
		"another method":        {func(r *http.Request) { r.Method = "POST" }, "", "does not match"},
		"another path":          {func(r *http.Request) { r.URL.Path = "/x" }, "", "does not match"},
		"another query":         {func(r *http.Request) { r.URL.RawQuery = "Action=ListUsers" }, "", "does not match"},
		"another host":          {func(r *http.Request) { r.Host = "127.0.0.1" }, "", "does not match"},
		"another signed header": {func(r *http.Request) { r.Header.Set("Content-Type", "text/xml") }, "", "does not match"},
		"another region":        {edit("us-east-1", "us-east-2"), "", "does not match"},
		"no signature":          {edit("Signature=", "X="), "", "does not match"},
		"another service":       {edit("/iam/", "/cloudfront/"), "", "should be scoped to 20150830/REGION/iam/aws4_request"},
		"another day":           {edit("20150830", "20150831"), "", "should be scoped to"},
		"no scope":              {edit("/20150830/us-east-1/iam/aws4_request", ""), "", "want Credential="},
		"host not signed":       {edit("content-type;host;", "content-type;"), "", "must be signed"},
		"date not signed":       {edit(";x-amz-date", ""), "", "must be signed"},
		"no date":               {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "", "want X-Amz-Date"},
		"none":                  {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }, "", "want Authorization: AWS4"},
	} {
		r := example()
		c.change(r)
		if err := checkSigV4(r, []byte(c.body), "iam", secret, at); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	for _, off := range []time.Duration{-16 * time.Minute, 16 * time.Minute} {
		if err := checkSigV4(example(), nil, "iam", secret, at.Add(off)); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("%v later: %v, want it expired", off, err)
		}
	}
	if err := checkSigV4(example(), nil, "iam", "another", at); err == nil {
		t.Error("another secret: no error")
	}
}

// signed returns the header of a call that is signed with a secret.
func signed(t *testing.T, method, base, path, body, secret string) []string {
	t.Helper()
	now := time.Now().UTC()
	r, _ := http.NewRequest(method, base+path, nil)
	date := now.Format(sigV4Time)
	r.Header.Set("X-Amz-Date", date)
	scope := []string{date[:8], "us-east-1", "cloudfront", sigV4Suffix}
	key := []byte("AWS4" + secret)
	for _, s := range scope {
		key = hmacSHA256(key, s)
	}
	canonical := canonicalRequest(r, []string{"host", "x-amz-date"}, []byte(body))
	text := strings.Join([]string{sigV4, date, strings.Join(scope, "/"), hex.EncodeToString(sum([]byte(canonical)))}, "\n")
	return []string{"X-Amz-Date", date, "Authorization", fmt.Sprintf("%s Credential=AKIDEXAMPLE/%s, SignedHeaders=host;x-amz-date, Signature=%s",
		sigV4, strings.Join(scope, "/"), hex.EncodeToString(hmacSHA256(key, text)))}
}

// batch is a body of CreateInvalidation.
func batch(reference string, paths ...string) string {
	var items string
	for _, p := range paths {
		items += "<Path>" + p + "</Path>"
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Paths><Quantity>%d</Quantity><Items>%s</Items></Paths>`+
		`<CallerReference>%s</CallerReference></InvalidationBatch>`, len(paths), items, reference)
}

func (f *tree) invalidate(t *testing.T, distribution, body string) (int, string) {
	t.Helper()
	path := "/2020-05-31/distribution/" + distribution + "/invalidation"
	return f.dial(t, "POST", path, body, signed(t, "POST", f.base, path, body, testToken)...)
}

func TestCloudFront(t *testing.T) {
	f := newTree(t)
	many := slices.Repeat([]string{"/a"}, purgeBurst+1)
	for i, c := range []struct {
		name, distribution, body string
		status                   int
		says                     string
		events                   []string
	}{
		{"a path", "www.cdn.test", batch("r1", "/a?b=1"), 201, "<Status>Completed</Status>", []string{"www.cdn.test url /a?b=1"}},
		{"a path without a slash", "www.cdn.test", batch("r2", "a"), 400, "invalid invalidation paths", nil},
		{"a URL", "www.cdn.test", batch("r2", "http://www.cdn.test/a"), 400, "<Code>InvalidArgument</Code>", nil},
		{"a path that is not encoded", "www.cdn.test", batch("r2", "/é"), 400, "invalid invalidation paths", nil},
		{"a wildcard", "www.cdn.test", batch("r3", "/img/*", "/x*"), 201, "Completed", []string{"www.cdn.test prefix /img/", "www.cdn.test prefix /x"}},
		{"everything", "www.cdn.test", batch("r4", "/*"), 201, "Completed", []string{"www.cdn.test all"}},
		{"at every site of a domain", "cdn.test", batch("r5", "/a"), 201, "Completed", []string{"app.cdn.test url /a", "www.cdn.test url /a"}},
		{"a wildcard within", "www.cdn.test", batch("r6", "/a*/b"), 400, "<Code>InvalidArgument</Code>", nil},
		{"another quantity", "www.cdn.test", strings.Replace(batch("r7", "/a"), "<Quantity>1", "<Quantity>2", 1), 400, "<Code>InconsistentQuantities</Code>", nil},
		{"no paths", "www.cdn.test", batch("r8"), 400, "InvalidArgument", nil},
		{"no reference", "www.cdn.test", batch("", "/a"), 400, "CallerReference is missing", nil},
		{"too many wildcards", "www.cdn.test", batch("r9", slices.Repeat([]string{"/a*"}, 16)...), 400, "<Code>TooManyInvalidationsInProgress</Code>", nil},
		{"too many paths", "www.cdn.test", batch("r10", many...), 400, "TooManyInvalidationsInProgress", nil},
		{"too long a path", "www.cdn.test", batch("r11", "/"+strings.Repeat("a", 4000)), 400, "InvalidArgument", nil},
		{"no body", "www.cdn.test", "", 400, "<Code>MissingBody</Code>", nil},
		{"no XML", "www.cdn.test", "{}", 400, "", nil},
		{"unknown distribution", "E2QWRUHEXAMPLE", batch("r12", "/a"), 404, "<Code>NoSuchDistribution</Code>", nil},
	} {
		status, body := f.invalidate(t, c.distribution, c.body)
		if got := f.taken(); status != c.status || !strings.Contains(body, c.says) || !slices.Equal(got, c.events) {
			t.Errorf("%d %s = %d %s and purged %q, want %d with %q and %q", i, c.name, status, body, got, c.status, c.says, c.events)
		}
	}
}

func TestCloudFrontNeedsASignature(t *testing.T) {
	f := newTree(t)
	const path = "/2020-05-31/distribution/www.cdn.test/invalidation"
	body := batch("r", "/a")
	f.test(t, []dialectCall{
		{"none", "POST", path, nil, body, 403, "<Code>MissingAuthenticationToken</Code>", nil},
		{"another secret", "POST", path, signed(t, "POST", f.base, path, body, "x"), body, 403, "<Code>SignatureDoesNotMatch</Code>", nil},
		{"another body", "POST", path, signed(t, "POST", f.base, path, body, testToken), batch("r", "/b"), 403, "SignatureDoesNotMatch", nil},
		{"the token in the open", "POST", path, []string{"Authorization", "Bearer " + testToken}, body, 403, "SignatureDoesNotMatch", nil},
		{"a look without", "GET", path + "/I1", nil, "", 403, "MissingAuthenticationToken", nil},
	})
}

func TestAnInvalidationIsMadeOnceForItsReference(t *testing.T) {
	f := newTree(t)
	read := func(body string) (v Invalidation) {
		if err := xml.Unmarshal([]byte(body), &v); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return v
	}
	look := func(id string) (int, string) {
		path := "/2020-05-31/distribution/www.cdn.test/invalidation/" + id
		return f.dial(t, "GET", path, "", signed(t, "GET", f.base, path, "", testToken)...)
	}
	f.nodes[1].Applied, f.nodes[1].Pending = false, true
	_, body := f.invalidate(t, "www.cdn.test", batch("r", "/a"))
	first := read(body)
	if first.Status != inProgress || first.ID == "" || first.InvalidationBatch.CallerReference != "r" || !slices.Equal(first.InvalidationBatch.Paths.Items, []string{"/a"}) {
		t.Errorf("an invalidation that paris-1 has not applied is %+v", first)
	}
	if _, err := time.Parse(time.RFC3339, first.CreateTime); err != nil {
		t.Error(err)
	}
	status, body := f.invalidate(t, "www.cdn.test", batch("r", "/a"))
	if again := read(body); status != 201 || again.ID != first.ID || len(f.taken()) != 1 {
		t.Errorf("the same again = %d %s, want the first", status, body)
	}
	if status, body := f.invalidate(t, "www.cdn.test", batch("r", "/b")); status != 400 || !strings.Contains(body, "InvalidationBatchAlreadyExists") {
		t.Errorf("other paths under the same reference = %d %s", status, body)
	}
	if _, body := f.invalidate(t, "app.cdn.test", batch("r", "/a")); read(body).ID == first.ID {
		t.Error("another distribution's invalidation is taken for the same")
	}

	f.state = []TreeNode{{Node: "paris-1", Up: true, Seq: 0}, {Node: "tokyo-1", Seq: 0}}
	if status, body := look(first.ID); status != 200 || read(body).Status != inProgress {
		t.Errorf("before paris-1 has applied it: %d %s", status, body)
	}
	f.state[0].Seq = 1
	if status, body := look(first.ID); status != 200 || read(body).Status != completed {
		t.Errorf("after it has: %d %s", status, body)
	}
	if status, body := look("I9"); status != 404 || !strings.Contains(body, "NoSuchInvalidation") {
		t.Errorf("an unknown one: %d %s", status, body)
	}

	f.failing = true
	if status, body := f.invalidate(t, "www.cdn.test", batch("s", "/a")); status != 502 || !strings.Contains(body, "<Code>ServiceUnavailable</Code>") {
		t.Errorf("an origin that fails: %d %s", status, body)
	}
	f.failing = false
	if status, body := f.invalidate(t, "www.cdn.test", batch("s", "/b")); status != 201 {
		t.Errorf("after it has failed the reference is free: %d %s", status, body)
	}
}
