package journaltest_test

import (
	"errors"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"pitboss/journal"
	"pitboss/journal/journaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFaults(t *testing.T) {
	f := func(name string, set func(*journaltest.Faults), want error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			j, faults := journaltest.Open(t, t.TempDir())
			journaltest.Write(t, j, journal.Frame{Payload: []byte("before")})
			set(faults)
			err := fill(t, j)
			if !errors.Is(err, journal.ErrFailed) || !errors.Is(err, want) {
				t.Errorf("with the fault = %v, want ErrFailed and %v", err, want)
			}
			faults.Heal()
			if err := j.Recover(t.Context()); err != nil {
				t.Fatalf("Recover() after Heal = %v, want nil", err)
			}
			if err := fill(t, j); err != nil {
				t.Errorf("after Heal and Recover = %v, want nil", err)
			}
			if err := j.Close(); err != nil {
				t.Errorf("Close() = %v, want nil", err)
			}
		})
	}
	f("write", func(f *journaltest.Faults) { f.FailWrites(syscall.ENOSPC, -1, 100) }, journal.ErrNoSpace)
	f("write once", func(f *journaltest.Faults) { f.FailWrites(syscall.EROFS, 1, 0) }, journal.ErrReadOnly)
	f("fsync", func(f *journaltest.Faults) { f.FailSyncs(syscall.EIO, -1) }, journal.ErrIO)
	f("create", func(f *journaltest.Faults) { f.FailCreates(syscall.ENOSPC, -1) }, journal.ErrNoSpace)
}

// fill writes more than a segment and waits until it is durable.
func fill(t *testing.T, j journal.Journal) error {
	t.Helper()
	for range 100 {
		s, err := j.Seal(journal.Frame{Payload: make([]byte, 1000)})
		if err != nil {
			t.Fatalf("Seal() = %v, want nil", err)
		}
		p, err := j.Append(s)
		if err != nil {
			return err
		}
		if err := j.Written(t.Context(), p); err != nil {
			return err
		}
	}
	return j.Sync(t.Context())
}
