package mgmt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// cloudflareItems is how many files, tags, hosts or prefixes one call may name ("Purge cache: availability and limits", developers.cloudflare.com).
const cloudflareItems = 100

// Codes of Cloudflare's errors, as far as they are known. Those of wrong URLs and of limits are not documented: they have the code of a request that
// lacks what it needs.
const (
	cloudflareNoKeys   = 9106
	cloudflareWrongKey = 10000
	cloudflareNoZone   = 7003
	cloudflareWrong    = 1012
)

// cloudflarePurge is the body of POST /zones/{zone_id}/purge_cache ("Purge Cached Content", Cloudflare API v4): one of its fields.
type cloudflarePurge struct {
	Everything bool             `json:"purge_everything"`
	Files      []cloudflareFile `json:"files"`
	Tags       []string         `json:"tags"`
	Hosts      []string         `json:"hosts"`
	Prefixes   []string         `json:"prefixes"`
}

// cloudflareFile is a URL, or {"url": …, "headers": {…}}. Headers pick one variant at Cloudflare; here all are purged.
type cloudflareFile string

// UnmarshalJSON implements json.Unmarshaler.
func (f *cloudflareFile) UnmarshalJSON(data []byte) error {
	var url string
	if json.Unmarshal(data, &url) == nil {
		*f = cloudflareFile(url)
		return nil
	}
	var pair struct {
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
	}
	if err := json.Unmarshal(data, &pair); err != nil {
		return fmt.Errorf("files: want URLs or objects with url and headers: %w", err)
	}
	*f = cloudflareFile(pair.URL)
	return nil
}

// cloudflareAnswer is the envelope of its API.
type cloudflareAnswer struct {
	Success  bool              `json:"success"`
	Errors   []cloudflareError `json:"errors"`
	Messages []cloudflareError `json:"messages"`
	Result   *cloudflareResult `json:"result"`
}

type cloudflareError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

type cloudflareResult struct {
	ID string `json:"id"`
}

func writeCloudflareError(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, cloudflareAnswer{Errors: []cloudflareError{{code, message}}, Messages: []cloudflareError{}})
}

// cloudflare serves POST /client/v4/zones/{zone}/purge_cache.
func (s *Server) cloudflare(w http.ResponseWriter, r *http.Request) {
	key, email := r.Header.Get("X-Auth-Key"), r.Header.Get("X-Auth-Email")
	switch {
	case s.isToken(bearer(r)), s.isToken(key) && email != "":
	case r.Header.Get("Authorization") == "" && (key == "" || email == ""):
		s.logRefusal(r, http.StatusBadRequest, "no X-Auth-Key with X-Auth-Email, and no Authorization")
		writeCloudflareError(w, http.StatusBadRequest, cloudflareNoKeys, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
		return
	default:
		s.logRefusal(r, http.StatusForbidden, "neither Authorization: Bearer nor X-Auth-Key is the lab's token")
		writeCloudflareError(w, http.StatusForbidden, cloudflareWrongKey, "Authentication error")
		return
	}
	zone := r.PathValue("zone")
	hosts := s.zoneOf(zone)
	if hosts == nil {
		writeCloudflareError(w, http.StatusNotFound, cloudflareNoZone, "Could not route to the zone: "+s.whatIDsAre(zone))
		return
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDialectBody))
	dec.DisallowUnknownFields()
	var body cloudflarePurge
	if err := dec.Decode(&body); err != nil {
		writeCloudflareError(w, http.StatusBadRequest, cloudflareWrong, "malformed body: "+err.Error())
		return
	}
	specs, err := body.specs(hosts, func(host string) bool {
		site, ok := s.cfg.Topology.Site(host)
		return ok && slices.Contains(hosts, site.Host)
	})
	if err != nil {
		writeCloudflareError(w, http.StatusBadRequest, cloudflareWrong, err.Error())
		return
	}
	note(w, "purge %s", brief(specs))
	done, status, err := s.purge(r.Context(), specs...)
	if err != nil {
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		writeCloudflareError(w, status, cloudflareWrong, err.Error())
		return
	}
	done.sayPending(w)
	writeJSON(w, http.StatusOK, cloudflareAnswer{Success: true, Errors: []cloudflareError{}, Messages: []cloudflareError{}, Result: &cloudflareResult{done.id(0)}})
}

// zoneOf are the sites of a zone. Of one that is named for a domain with a site of its own these are all below it, too, as at Cloudflare.
func (s *Server) zoneOf(id string) []string {
	hosts := s.sitesOf(id)
	if site, ok := s.cfg.Topology.Site(id); ok {
		for i := range s.cfg.Topology.Sites {
			if host := s.cfg.Topology.Sites[i].Host; strings.HasSuffix(host, "."+site.Host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// specs are the purges that a body asks for at the sites of a zone; within says whether a host is one of them.
func (c cloudflarePurge) specs(hosts []string, within func(host string) bool) (specs []PurgeSpec, err error) {
	kinds := 0
	for _, n := range []int{len(c.Files), len(c.Tags), len(c.Hosts), len(c.Prefixes)} {
		if n > 0 {
			kinds++
		}
		if n > cloudflareItems {
			return nil, fmt.Errorf("request has %d items; the most is %d", n, cloudflareItems)
		}
	}
	if c.Everything {
		kinds++
		for _, host := range hosts {
			specs = append(specs, PurgeSpec{All: true, Site: host})
		}
	}
	if kinds != 1 {
		return nil, errors.New(`request must contain one of "purge_everything", "files", "tags", "hosts" or "prefixes"`)
	}
	inZone := func(what, url string) error {
		if host, _ := splitURL(url); !within(host) {
			return fmt.Errorf("unable to purge %s %q: it is not in this zone, which has %s", what, url, strings.Join(hosts, ", "))
		}
		return nil
	}
	for _, file := range c.Files {
		url := string(file)
		if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
			return nil, fmt.Errorf("unable to purge %q, which is an invalid URL: it begins with http:// or https://", url)
		}
		err = errors.Join(err, inZone("file", url))
		specs = append(specs, PurgeSpec{URL: url})
	}
	for _, prefix := range c.Prefixes {
		if strings.Contains(prefix, "://") {
			return nil, fmt.Errorf("unable to purge prefix %q: a prefix has no scheme, such as www.example.com/foo", prefix)
		}
		err = errors.Join(err, inZone("prefix", prefix))
		specs = append(specs, PurgeSpec{Prefix: prefix})
	}
	for _, host := range c.Hosts {
		err = errors.Join(err, inZone("host", host))
		specs = append(specs, PurgeSpec{All: true, Site: host})
	}
	for _, tag := range c.Tags {
		for _, host := range hosts {
			specs = append(specs, PurgeSpec{Key: tag, Site: host})
		}
	}
	return specs, err
}
