//go:build !race

package journal_test

import (
	"testing"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
)

// Sealing and appending are on the way of every decision: no allocation. Not under -race, whose pools forget at random.
func TestHotPathDoesNotAllocate(t *testing.T) {
	j, _ := open(t, memConfig(), nullFS{vfs.NewMem()})
	key := makeKeys(t, j, 1)[0]
	f := journal.Frame{KeyID: key, Payload: record()}
	if n := testing.AllocsPerRun(1000, func() {
		s, err := j.Seal(f)
		if err != nil {
			t.Fatal(err)
		}
		s.Release()
	}); n > 0 {
		t.Errorf("Seal, Release: %v allocations, want 0", n)
	}
	s, err := j.Seal(f)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(40, func() {
		if _, err := j.Append(s); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Append: %v allocations, want 0", n)
	}
}
