package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

const dir = "/journal"

// memConfig is for journals on a vfs.Mem: no fsync but those that a test asks for, no compaction.
func memConfig() journal.Config {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = dir, journaltest.MasterKey()
	cfg.SyncEvery, cfg.Compact = 10*time.Second, false
	cfg.BufferBytes, cfg.MaxPayloadBytes = 64<<10, 16<<10
	return cfg
}

func open(t testing.TB, cfg journal.Config, fsys vfs.FS) (journal.Journal, journal.Report) {
	t.Helper()
	j, rep, err := journal.OpenFS(cfg, fsys)
	if err != nil {
		t.Fatalf("OpenFS() = %v, want nil", err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil && !errors.Is(err, journal.ErrClosed) && !errors.Is(err, journal.ErrFailed) {
			t.Errorf("Close() = %v, want nil", err)
		}
	})
	return j, rep
}

func closeJournal(t testing.TB, j journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("Close() = %v, want nil", err)
	}
}

func sync(t testing.TB, j journal.Journal) {
	t.Helper()
	if err := j.Sync(t.Context()); err != nil {
		t.Fatalf("Sync() = %v, want nil", err)
	}
}

// payload is what the tests put into frame i: its own number, so that any mix-up shows, of some length.
func payload(i uint64) []byte {
	return append(fmt.Appendf(nil, "frame %d ", i), make([]byte, i*37%200)...)
}

// write writes n frames after the head, unsealed.
func write(t testing.TB, j journal.Journal, n int) {
	t.Helper()
	for range n {
		i := j.Head().Offset + 1
		journaltest.Write(t, j, journal.Frame{Kind: journal.Kind(i), Time: int64(i), Payload: payload(i)})
	}
}

// wantFrames says whether the journal holds what write wrote, from its tail to a head, by Get and by cursor.
func wantFrames(t testing.TB, j journal.Journal, head uint64) {
	t.Helper()
	if got := j.Head().Offset; got != head {
		t.Errorf("Head() = %d, want %d", got, head)
	}
	c, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Errorf("Cursor.Close() = %v, want nil", err)
		}
	}()
	for i := max(j.Tail().Offset, 1); i <= head; i++ {
		want := journal.Frame{Pos: journal.Pos{Offset: i}, Kind: journal.Kind(i), Time: int64(i), Payload: payload(i)}
		got, err := c.Next(t.Context())
		if err != nil {
			t.Fatalf("Next() = %v, want frame %d", err, i)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); d != "" {
			t.Fatalf("Next(): -want +got\n%s", d)
		}
		if got, err = j.Get(want.Pos); err != nil || !cmp.Equal(want, got, cmp.Comparer(bytes.Equal)) {
			t.Fatalf("Get(%d) = %+v, %v, want %+v", i, got, err, want)
		}
	}
}

// newestLog returns the path of the newest segment.
func newestLog(t testing.TB, m *vfs.Mem) string {
	t.Helper()
	return logs(t, m)[len(logs(t, m))-1]
}

func logs(t testing.TB, m *vfs.Mem) []string {
	t.Helper()
	names, err := m.List(dir)
	if err != nil {
		t.Fatalf("List() = %v, want nil", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return path.Ext(name) != ".log" })
	for i := range names {
		names[i] = path.Join(dir, names[i])
	}
	return names
}

// wantNoOpenFiles is for after Close.
func wantNoOpenFiles(t testing.TB, m *vfs.Mem) {
	t.Helper()
	if open := m.OpenFiles(); len(open) > 0 {
		t.Errorf("still open: %q", open)
	}
}

// snapshot returns the content of all files but the lock.
func snapshot(t testing.TB, m *vfs.Mem) map[string]string {
	t.Helper()
	names, err := m.List(dir)
	if err != nil {
		t.Fatalf("List() = %v, want nil", err)
	}
	s := map[string]string{}
	for _, name := range names {
		s[name] = string(m.Bytes(path.Join(dir, name)))
	}
	return s
}

// wantRefused says whether opening fails with an error and changes nothing.
func wantRefused(t testing.TB, cfg journal.Config, m *vfs.Mem, want error) error {
	t.Helper()
	before := snapshot(t, m)
	j, _, err := journal.OpenFS(cfg, m)
	if err == nil {
		t.Errorf("OpenFS() = nil, want %v", want)
		closeJournal(t, j)
		return nil
	}
	if !errors.Is(err, want) {
		t.Errorf("OpenFS() = %v, want %v", err, want)
	}
	wantNoOpenFiles(t, m)
	if d := cmp.Diff(before, snapshot(t, m)); d != "" {
		t.Errorf("OpenFS() refused (%v) and changed files: -before +after\n%s", err, d)
	}
	return err
}
