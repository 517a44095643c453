package main

import (
	"strings"
	"testing"
)

// TestBenchOfTheStore runs the feature store's benches on a few players: that they work, not what they measure.
func TestBenchOfTheStore(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(childEnv, "1") // the server that is started is this test's binary
	f := func(args string, contains ...string) {
		t.Helper()
		r := pitboss(strings.Fields("bench --runs 1 " + args)...)
		if r.code != exitOK {
			t.Fatalf("bench %s: %v", args, r)
		}
		for _, want := range contains {
			if !strings.Contains(r.out, want) {
				t.Errorf("bench %s: no %q in %s", args, want, r.out)
			}
		}
	}
	f("--only apply --events 2000", "apply median", "events/s applied")
	f("--only recovery --events 2000", "recovery median", "frames/s replayed")
	f("--only journal --events 14000", "bytes an event on disk", "1 of 2 segments compressed")
	f("--only state --state-players 20 --vectors 500", "20 players, ", "byte for byte the same", "ready after", "memory: bound 64 MB")
}
