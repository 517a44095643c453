package audit_test

import (
	"testing"

	"pitboss/journal"
)

// BenchmarkReplayAll replays a journal of 53 decisions by a model of 40 trees; decisions/s is the figure to look at.
func BenchmarkReplayAll(b *testing.B) {
	r := newRig(b)
	r.run()
	decisions := uint64(0)
	for b.Loop() {
		s, err := r.auditor.ReplayAll(b.Context(), journal.Pos{}, journal.Pos{}, nil)
		if err != nil || !s.Identical() {
			b.Fatal(s, err)
		}
		decisions += s.Decisions
	}
	b.ReportMetric(float64(decisions)/b.Elapsed().Seconds(), "decisions/s")
}
