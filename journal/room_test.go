package journal_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// A disk that has a few bytes left is full: the journal stays failed until a megabyte can be written, and then goes on.
func TestRecoverWaitsForRoom(t *testing.T) {
	left := 0 // bytes; -1: any
	hook := func(op vfs.Op) error {
		if op.Name != "write" || left < 0 {
			return nil
		}
		if left == 0 || strings.HasSuffix(op.File, "room.tmp") {
			return syscall.ENOSPC
		}
		return nil
	}
	left = -1
	m := vfs.NewMem()
	j, _ := open(t, memConfig(), vfs.Faulty{FS: m, Hook: hook})
	write(t, j, 10)
	sync(t, j)
	left = 0
	p := journaltest.Append(t, j, journal.Frame{Payload: payload(11)})
	if err := j.Written(t.Context(), p); !errors.Is(err, journal.ErrNoSpace) {
		t.Fatalf("Written() on a full disk = %v, want ErrNoSpace", err)
	}
	for _, left = range []int{0, 100} {
		if err := j.Recover(t.Context()); !errors.Is(err, journal.ErrNoSpace) || !errors.Is(j.Failed(), journal.ErrNoSpace) {
			t.Errorf("Recover() with %d bytes left = %v, Failed() = %v, want both ErrNoSpace", left, err, j.Failed())
		}
	}
	left = -1
	if err := j.Recover(t.Context()); err != nil || j.Failed() != nil {
		t.Fatalf("Recover() with room = %v, Failed() = %v, want nil", err, j.Failed())
	}
	write(t, j, 5)
	sync(t, j)
	wantFrames(t, j, 15)
	names, err := m.List(dir)
	if err != nil || strings.Contains(strings.Join(names, " "), ".tmp") {
		t.Errorf("files are %q, %v, want none left of the trial", names, err)
	}
	closeJournal(t, j)
}
