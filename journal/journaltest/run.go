// Package journaltest is the contract of journal.Journal as tests: every implementation runs it, and a caller's test
// finds here a journal whose disk fails when told to.
//
// It holds no test of what only one implementation does (files, crashes, formats): those are in package journal.
// Start with Run.
package journaltest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/journal"
)

// Subject is one implementation, opened empty.
type Subject struct {
	Journal journal.Journal
	// FailNext makes the next write fail for a reason. Afterwards writes succeed again, so that Recover can.
	FailNext func(cause error)
}

// suite is one test's journal and the test itself.
type suite struct {
	Subject

	t *testing.T
}

// Run tests the contract. Each test calls open for a journal of its own, with partition 0 and payloads of up to 1 MiB,
// and closes it.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(suite)
	}{
		{"Empty", suite.testEmpty},
		{"RoundTrip", suite.testRoundTrip},
		{"Limits", suite.testLimits},
		{"Positions", suite.testPositions},
		{"Cursor", suite.testCursor},
		{"Follow", suite.testFollow},
		{"FollowDurable", suite.testFollowDurable},
		{"Erase", suite.testErase},
		{"KeyErrors", suite.testKeyErrors},
		{"Foreign", suite.testForeign},
		{"Wait", suite.testWait},
		{"Fail", suite.testFail},
		{"Concurrent", suite.testConcurrent},
		{"Closed", suite.testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := suite{open(t), t}
			t.Cleanup(func() {
				if err := s.Journal.Close(); err != nil && !errors.Is(err, journal.ErrClosed) {
					t.Errorf("Close() = %v, want nil", err)
				}
			})
			c.test(s)
		})
	}
}

// Seed returns a random generator and prints its seed; PITBOSS_SEED gives it back.
func Seed(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PITBOSS_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("cannot read PITBOSS_SEED %q: %v", s, err)
		}
		seed = n
	}
	t.Logf("PITBOSS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Append seals and appends one frame, and fails the test if that fails.
func Append(t testing.TB, j journal.Journal, f journal.Frame) journal.Pos {
	t.Helper()
	s, err := j.Seal(f)
	if err != nil {
		t.Fatalf("Seal(%d bytes, key %d) = %v, want nil", len(f.Payload), f.KeyID, err)
	}
	p, err := j.Append(s)
	if err != nil {
		t.Fatalf("Append() = %v, want nil", err)
	}
	return p
}

// Write is Append, then Written.
func Write(t testing.TB, j journal.Journal, f journal.Frame) journal.Pos {
	t.Helper()
	p := Append(t, j, f)
	if err := j.Written(t.Context(), p); err != nil {
		t.Fatalf("Written(%v) = %v, want nil", p, err)
	}
	return p
}

func newKey(t testing.TB, j journal.Journal) journal.KeyID {
	t.Helper()
	id, err := j.Keys().New()
	if err != nil {
		t.Fatalf("Keys().New() = %v, want nil", err)
	}
	return id
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

func wantFrame(t testing.TB, j journal.Journal, want journal.Frame) {
	t.Helper()
	got, err := j.Get(want.Pos)
	if err != nil {
		t.Errorf("Get(%v) = %v, want nil", want.Pos, err)
		return
	}
	if d := diff(want, got); d != "" {
		t.Errorf("Get(%v): -want +got\n%s", want.Pos, d)
	}
}

// diff compares payloads at once instead of byte by byte, and treats an empty one and none alike.
func diff(want, got journal.Frame) string { return cmp.Diff(want, got, cmp.Comparer(bytes.Equal)) }
