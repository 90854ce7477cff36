package origin

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxSigned bounds how long a signed URL may live.
const maxSigned = 7 * 24 * time.Hour

// signer makes and checks signed URLs: /path?expires=UNIX-SECONDS&signature=BASE64URL. The signature is HMAC-SHA256 (RFC 2104)
// over the site, the decoded path and the time of expiry; other parameters of the URL are not covered.
type signer struct {
	key []byte
}

// newSigner derives the key from the lab's secret (HKDF, RFC 5869), so that no signature tells anything about the secret.
func newSigner(secret string) (signer, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "cdnlab signed URL", sha256.Size)
	if err != nil {
		return signer{}, fmt.Errorf("derive key of signed URLs: %w", err)
	}
	return signer{key}, nil
}

func (s signer) mac(site, path string, expires int64) []byte {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s\n%s\n%d", site, path, expires)
	return h.Sum(nil)
}

// query returns the query that opens path until the given time.
func (s signer) query(site, path string, expires time.Time) string {
	sum := s.mac(site, path, expires.Unix())
	return "expires=" + strconv.FormatInt(expires.Unix(), 10) + "&signature=" + base64.RawURLEncoding.EncodeToString(sum)
}

// The reasons for which a signed URL does not open an object.
var (
	errUnsigned  = errors.New("this path is open to signed URLs only: it takes the parameters expires and signature, as cdnlab makes them")
	errSignature = errors.New("the signature of this URL is not valid for this site, path and time of expiry")
)

// check says why the query does not open path at the time now.
func (s signer) check(site, path, query string, now time.Time) error {
	expires, sum, err := parseSignature(query)
	if err != nil {
		return err
	}
	if !hmac.Equal(sum, s.mac(site, path, expires)) {
		return errSignature
	}
	if end := time.Unix(expires, 0).UTC(); !now.Before(end) {
		return fmt.Errorf("this signed URL expired at %s", end.Format(time.RFC3339))
	}
	return nil
}

// parseSignature finds the two parameters of a signed URL. Each has to be there exactly once, in its one spelling.
func parseSignature(query string) (expires int64, sum []byte, err error) {
	var when, signature string
	for param := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(param, "=")
		var to *string
		switch name {
		case "expires":
			to = &when
		case "signature":
			to = &signature
		default:
			continue
		}
		if *to != "" {
			return 0, nil, fmt.Errorf("the parameter %s stands twice in this URL", name)
		}
		*to = value
	}
	if when == "" || signature == "" {
		return 0, nil, errUnsigned
	}
	expires, err = strconv.ParseInt(when, 10, 64)
	if err != nil || strconv.FormatInt(expires, 10) != when {
		return 0, nil, fmt.Errorf("expires=%s is not a time in Unix seconds", when)
	}
	sum, err = base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil {
		return 0, nil, errSignature
	}
	return expires, sum, nil
}
