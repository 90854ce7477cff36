package mgmt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signedFor is how far the time of a signature may be from now.
const signedFor = 15 * time.Minute

const (
	sigV4       = "AWS4-HMAC-SHA256"
	sigV4Time   = "20060102T150405Z"
	sigV4Suffix = "aws4_request"
)

// checkSigV4 verifies an AWS Signature Version 4 in the Authorization header ("Create a signed AWS API request", AWS IAM User Guide). The access key
// id and the region are of no account.
func checkSigV4(r *http.Request, body []byte, service, secret string, now time.Time) error {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), sigV4+" ")
	if !ok {
		return errors.New("want Authorization: " + sigV4)
	}
	part := map[string]string{}
	for p := range strings.SplitSeq(given, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		part[name] = value
	}
	scope := strings.Split(part["Credential"], "/") // id, date, region, service, suffix; an id may hold slashes
	if len(scope) < 5 {
		return errors.New("want Credential=ID/DATE/REGION/" + service + "/" + sigV4Suffix)
	}
	scope = scope[len(scope)-4:]
	at, err := time.Parse(sigV4Time, r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil:
		return errors.New("want X-Amz-Date such as " + sigV4Time)
	case at.Sub(now).Abs() > signedFor:
		return fmt.Errorf("signature expired: it is of %s, and now it is %s", at.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case scope[0] != at.Format("20060102") || scope[2] != service || scope[3] != sigV4Suffix:
		return fmt.Errorf("credential should be scoped to %s/REGION/%s/%s", at.Format("20060102"), service, sigV4Suffix)
	}
	signed := strings.Split(part["SignedHeaders"], ";")
	if !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-date") {
		return errors.New("host and x-amz-date must be signed")
	}
	canonical := canonicalRequest(r, signed, body)
	text := strings.Join([]string{sigV4, at.Format(sigV4Time), strings.Join(scope, "/"), hex.EncodeToString(sum([]byte(canonical)))}, "\n")
	key := []byte("AWS4" + secret)
	for _, s := range scope {
		key = hmacSHA256(key, s)
	}
	if want := hex.EncodeToString(hmacSHA256(key, text)); !hmac.Equal([]byte(want), []byte(part["Signature"])) {
		return errors.New("the signature does not match: the secret access key is the content of the file named token in the data directory")
	}
	return nil
}

func sum(data []byte) []byte {
	s := sha256.Sum256(data)
	return s[:]
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalRequest is what is signed. The path is encoded twice, as for every service but S3.
func canonicalRequest(r *http.Request, signed []string, body []byte) string {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, s := range segments {
		segments[i] = awsEscape(s)
	}
	var query []string
	for name, values := range r.URL.Query() {
		for _, v := range values {
			query = append(query, awsEscape(name)+"="+awsEscape(v))
		}
	}
	slices.Sort(query)
	lines := []string{r.Method, strings.Join(segments, "/"), strings.Join(query, "&")}
	for _, name := range signed {
		values := slices.Clone(r.Header.Values(name))
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length": // net/http takes it out of the header
			values = []string{fmt.Sprint(r.ContentLength)}
		}
		for i, v := range values {
			values[i] = strings.Join(strings.Fields(v), " ")
		}
		lines = append(lines, name+":"+strings.Join(values, ","))
	}
	return strings.Join(append(lines, "", strings.Join(signed, ";"), hex.EncodeToString(sum(body))), "\n")
}

// awsEscape encodes all but RFC 3986's unreserved characters.
func awsEscape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
