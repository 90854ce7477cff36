package journal_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"cdnlab/internal/journal"
)

func Example() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "journal"), Log: slog.Default()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close()
	applied, err := journal.OpenMark(filepath.Join(dir, "applied")) // a follower's
	if err != nil {
		fmt.Println(err)
		return
	}
	defer applied.Close()

	at, err := j.Append(
		journal.Event{Kind: journal.Publish, Site: "www.cdn.test", Value: "/logo.svg", Version: `"2"`},
		journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeKey, Value: "product-7", Soft: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := j.Read(applied.Load().Seq, 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range events {
		fmt.Println(e.Seq, e.Site, e.Value)
	}
	if err := applied.Store(at); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("in step:", applied.Load() == j.Position())
	// Output:
	// 1 www.cdn.test /logo.svg
	// 2 www.cdn.test product-7
	// in step: true
}
