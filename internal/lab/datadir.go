package lab

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// dataDir is the directory that a lab, or one node, keeps its state in:
//
//	lock     held while it runs            token    opens state-changing admin calls (0600)
//	lab.json State of the running lab      secret   authenticates calls between nodes (0600)
//	origin/NAME  objects of that origin    cache/NODE  cached objects of that node
//	journal/NAME what that origin has told its tree
//
// token and secret are elsewhere where Options.KeyDir says so.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory if need be and takes the lock of the given name in it: "lab" for a whole lab, or a node's
// name, so that nodes in processes of their own may share a directory.
func openDataDir(path, lockName string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w; give another with --data-dir", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write in data directory %s: %w; give another with --data-dir", path, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name())
		_ = lock.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another lab (process %s): stop that one, or give another directory with --data-dir",
				path, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("lock data directory %s: %w", path, err)
	}
	d := &dataDir{path: path, lock: lock}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		return nil, errors.Join(fmt.Errorf("write in data directory %s: %w; give another with --data-dir", path, err), d.close())
	}
	return d, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// close gives the lock back.
func (d *dataDir) close() error { return d.lock.Close() }

// key returns the named key of a directory: 32 random bytes in hexadecimal, made at first use. Processes that start together
// agree on one, because the file appears whole or not at all.
func key(dir, name string) (string, error) {
	file := filepath.Join(dir, name)
	if key, err := readKey(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make %s: %w", file, err)
	}
	tmp, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return "", fmt.Errorf("make %s: %w", file, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(hex.EncodeToString(raw) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", fmt.Errorf("make %s: %w", file, err)
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make %s: %w", file, err)
	}
	return readKey(file)
}

func readKey(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	key := strings.TrimSpace(string(raw))
	if len(key) < 32 {
		return "", fmt.Errorf("%s holds no key of at least 32 characters: remove it and a new one is made", file)
	}
	return key, nil
}

// State is what a running lab leaves in DATA-DIR/lab.json, for the commands that talk to it.
type State struct {
	PID      int              `json:"pid"`
	Topology string           `json:"topology"`
	Zone     string           `json:"zone"`
	Admin    string           `json:"admin"`   // URL
	DNS      []netip.AddrPort `json:"dns"`     // authoritative servers
	Gateway  netip.AddrPort   `json:"gateway"` // forward proxy that takes the city as user name
	HTTPPort uint16           `json:"http_port"`
	KeyDir   string           `json:"key_dir,omitempty"` // of the token, where it is not the data directory
}

const stateFile = "lab.json"

// ErrNotRunning says that no lab runs on a data directory.
var ErrNotRunning = errors.New("no lab is running")

// ReadState returns the state of the lab that runs on a data directory; the error wraps ErrNotRunning when none does.
func ReadState(dir string) (State, error) {
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("%w on %s: start one with \"cdnlab up\", or name its directory with --data-dir", ErrNotRunning, dir)
	}
	if err != nil {
		return State{}, fmt.Errorf("read state of the lab: %w", err)
	}
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		return State{}, fmt.Errorf("read %s: %w", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// Token returns the token that opens state-changing calls of the lab, which runs on a data directory.
func (s State) Token(dataDir string) (string, error) {
	return readKey(filepath.Join(cmp.Or(s.KeyDir, dataDir), "token"))
}

func (d *dataDir) writeState(s State) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write state of the lab: %w", err)
	}
	file := filepath.Join(d.path, stateFile)
	if err := errors.Join(os.WriteFile(file+".new", append(raw, '\n'), 0o600), os.Rename(file+".new", file)); err != nil {
		return fmt.Errorf("write state of the lab: %w", err)
	}
	return nil
}

func (d *dataDir) removeState() error { return os.Remove(filepath.Join(d.path, stateFile)) }
