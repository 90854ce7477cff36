package distribution

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"cdnlab/internal/journal"
)

// maxPublished is how many objects may wait to be looked at again.
const maxPublished = 1024

// object names an object by its decoded path.
type object struct{ site, path string }

// Published notes in the journal that an object of the origin has another version; "" says that it is gone. Caches that hold it go on until
// it is stale or purged. Where it is pushed, the new version is.
func (r *Root) Published(site, path, version string) {
	if _, err := r.Append(journal.Event{Kind: journal.Publish, Site: site, Value: path, Version: version}); err != nil {
		r.cfg.Log.Warn("a new version cannot be written into the journal", "path", path, "error", err)
		return
	}
	select {
	case r.published <- object{site, path}:
	default:
		r.cfg.Log.Warn("more new versions come than can be pushed", "path", path)
	}
}

// republish pushes new versions to where the old ones are, until ctx ends.
func (r *Root) republish(ctx context.Context) {
	for {
		select {
		case o := <-r.published:
			r.pushAgain(ctx, o)
		case <-ctx.Done():
			return
		}
	}
}

// pushAgain pushes what an object is now to where another version of it is. One that is gone is not pushed any more.
func (r *Root) pushAgain(ctx context.Context, o object) {
	now := map[string]*Manifest{} // by request target; nil for what is gone
	for _, pin := range r.memory.pinned() {
		if pin.Site != o.site || decoded(pin.Value) != o.path {
			continue
		}
		m, ok := now[pin.Value]
		if !ok {
			var err error
			var gone unfit
			if m, err = r.prepareWithin(ctx, pin.Site, pin.Value); err != nil && !errors.As(err, &gone) {
				r.cfg.Log.Warn("a new version cannot be read, and is not pushed", "path", pin.Value, "error", err)
				return
			}
			now[pin.Value] = m
		}
		next := journal.Event{Kind: journal.Push, Site: pin.Site, Value: pin.Value, To: pin.To, Who: pin.Who}
		if m != nil {
			next.Version, next.Size = m.Version, m.Size
		}
		if next.Version == pin.Version || ctx.Err() != nil {
			continue
		}
		if _, err := r.Append(next); err != nil {
			r.cfg.Log.Warn("a push cannot be written into the journal", "path", pin.Value, "error", err)
		}
	}
}

// decoded returns the path of a request target.
func decoded(target string) string {
	path, _, _ := strings.Cut(target, "?")
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}
