package models

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLeastTime: neither the first row, which finds nothing in the caches, nor rows that others held up count, and it ends
// soon.
func TestLeastTime(t *testing.T) {
	f := func(name string, took func(i int) time.Duration, want time.Duration, rows int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			n := 0
			got := leastTime(func() {
				time.Sleep(took(n))
				n++
			})
			if got != want || n != rows {
				t.Errorf("%s: %v of %d rows, want %v of %d", name, got, n, want, rows)
			}
		})
	}
	f("small model", func(i int) time.Duration { return time.Duration(20-i) * time.Microsecond }, 4*time.Microsecond, 17)
	f("held up", func(i int) time.Duration {
		if i != 2 {
			return time.Second
		}
		return time.Millisecond
	}, time.Millisecond, 3)
	f("ordinary model", func(int) time.Duration { return 50 * time.Microsecond }, 50*time.Microsecond, 11)
	f("first row", func(i int) time.Duration { return time.Duration(min(i, 1)+1) * time.Second }, 2*time.Second, 3)
}
