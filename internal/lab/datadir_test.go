package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestASecondLabOnADirectoryIsRefusedWithTheHolder(t *testing.T) {
	dir := t.TempDir()
	first, err := openDataDir(dir, "lab")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(dir, "lab"); err == nil || !strings.Contains(err.Error(), "in use by another lab") || strings.Contains(err.Error(), "\n") {
		t.Errorf("second open: %v, want one line that says it is in use", err)
	}
	other, err := openDataDir(dir, "paris-1")
	if err != nil {
		t.Errorf("a node of its own beside it: %v", err)
	} else if err := other.close(); err != nil {
		t.Error(err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openDataDir(dir, "lab")
	if err != nil {
		t.Fatalf("after the first has stopped: %v", err)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

func TestADirectoryThatCannotBeWrittenNamesTheOption(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(filepath.Join(file, "data"), "lab"); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("open below a file: %v, want a hint at --data-dir", err)
	}
}

func TestProcessesThatStartTogetherAgreeOnAKey(t *testing.T) {
	dir := t.TempDir()
	keys := make([]string, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := key(dir, "secret")
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || len(k) != 64 {
			t.Fatalf("keys %q and %q, want one of 64 digits", k, keys[0])
		}
	}
	info, err := os.Stat(filepath.Join(dir, "secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the directory: %v, %v, want the key alone", left, err)
	}
}

func TestAnEmptyKeyFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := key(dir, "token"); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("key of an empty file: %v, want a refusal with the remedy", err)
	}
}

func TestStateSurvivesTheRoundTrip(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadState(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("state before a start: %v, want ErrNotRunning", err)
	}
	d := &dataDir{path: dir}
	want := State{PID: 7, Admin: "http://127.0.0.1:7070", HTTPPort: 8080}
	if err := d.writeState(want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadState(dir); err != nil || got.PID != want.PID || got.Admin != want.Admin || got.HTTPPort != want.HTTPPort {
		t.Errorf("ReadState = %+v, %v, want %+v", got, err, want)
	}
	if err := d.removeState(); err != nil {
		t.Error(err)
	}
}
