package httpcache

// AdmitPost decides whether the response to a POST for host and target may be stored to answer a later GET or HEAD: it has to say how
// long it is fresh, and that it is what the target now has, by giving that as its Content-Location (RFC 9110 §9.3.3).
func AdmitPost(a *Ask, host, target string, r *Response, p *Policy) Admission {
	get := *a
	get.Method = MethodGet
	f := readFields(r.Header)
	adm := f.admit(&get, r, p)
	switch at, ok := located(host, target, r.Header, "Content-Location"); {
	case adm.Detail != "":
	case r.Status != 200 || adm.Meta.Source > SourceExpires || !ok || at != target:
		adm.Stored, adm.Detail = false, "a response to POST is stored when it says how long it is fresh and has its own target as Content-Location"
	default:
		f.keep(&adm, r)
	}
	return adm
}
