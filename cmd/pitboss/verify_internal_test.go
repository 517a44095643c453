package main

import (
	"os"
	"strings"
	"testing"
)

// Events that came first, then decisions on these and on others: all vectors are what the journal gives. Without the bundle
// that made them, the feature set can be named.
func TestFeaturesVerify(t *testing.T) {
	h := newHouse(t)
	must(t, "ingest", "--config", h.config, "--source", h.sim(t, 100), "--history")
	must(t, "batch", "--config", h.config, "--source", h.sim(t, 300), "--out", h.path("out.jsonl"))
	verify := []string{"features", "verify", "--config", h.config}
	r := must(t, verify...)
	for _, want := range []string{"300 vectors in 400 frames: 300 the same bytes, 0 different, 0 could not", "0 taken from records", "100 with the event inside"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("got %v\nwant %q in it", r, want)
		}
	}
	must(t, append(verify, "--on-disk", "--ram-entities", "64", "--ahead", "1")...)
	if err := os.RemoveAll(h.path("data/bundles")); err != nil {
		t.Fatal(err)
	}
	refused(t, exitFailed, []string{"300 of 300 vectors are not"}, verify...)
	must(t, append(verify, "--set", h.path("bundle/features.yaml"))...)
	refused(t, exitUsage, []string{"--config C"}, "features", "verify")
	refused(t, exitFailed, []string{"at least 1"}, append(verify, "--ahead", "-1")...)
}
