package journaltest

import (
	"strings"
	"sync"
	"testing"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
)

// Faults makes the disk of a journal fail. It is safe for many goroutines.
type Faults struct {
	mu    sync.Mutex // guards all below
	rules map[string]*rule
}

type rule struct {
	err   error
	times int // how often still; negative: for ever
	short int // of a write: bytes that arrive
}

// FailWrites makes the next times writes of the log fail with err, after their first short bytes arrived. A negative
// times means until Heal. syscall.ENOSPC is a full disk, syscall.EIO a broken one, syscall.EROFS one that went
// read-only.
func (f *Faults) FailWrites(err error, times, short int) { f.set("write", &rule{err, times, short}) }

// FailSyncs makes the next times fsyncs of the log fail with err.
func (f *Faults) FailSyncs(err error, times int) { f.set("sync", &rule{err, times, 0}) }

// FailCreates makes the next times new files fail with err: rotation to a new segment needs one.
func (f *Faults) FailCreates(err error, times int) { f.set("create", &rule{err, times, 0}) }

// Heal ends all faults.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

func (f *Faults) set(op string, r *rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rules == nil {
		f.rules = map[string]*rule{}
	}
	f.rules[op] = r
}

func (f *Faults) hook(op vfs.Op) error {
	if !strings.HasSuffix(op.File, ".log") {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rules[op.Name]
	if r == nil || r.times == 0 {
		return nil
	}
	r.times--
	if op.Name == "write" {
		return &vfs.ShortWriteError{N: r.short, Err: r.err}
	}
	return r.err
}

// MasterKey is a master key for tests.
func MasterKey() []byte { return []byte("a master key of tests, 32 bytes.") }

// Open opens a journal in files under dir, with small segments, whose disk fails when the Faults say so. The test
// closes it. It fails the test if it cannot be opened.
func Open(t testing.TB, dir string) (journal.Journal, *Faults) {
	t.Helper()
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey, cfg.SegmentBytes = dir, MasterKey(), 64<<10
	faults := &Faults{}
	j, _, err := journal.OpenFS(cfg, vfs.Faulty{FS: vfs.OS{}, Hook: faults.hook})
	if err != nil {
		t.Fatalf("OpenFile(%q) = %v, want nil", dir, err)
	}
	return j, faults
}
