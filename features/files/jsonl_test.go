package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"pitboss/features/files"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestJSONLinesOfAPipe holds that lines are given as they come, however few, that nothing is taken from a pipe before it is asked
// for, and that closing does not wait for more.
func TestJSONLinesOfAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.jsonl")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no pipes with names here: %v", err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pipe.Close() }()
	write := func(from, to int) {
		var text strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&text, "{\"eventId\":\"e%d\",\"occurredAt\":\"2026-01-01T00:%02d:%02dZ\"}\n", i, i/60, i%60)
		}
		if _, err := pipe.WriteString(text.String()); err != nil {
			t.Error(err)
		}
	}
	open := func() *files.Events {
		e, err := files.OpenEvents(path, "", files.Options{AsArrived: true})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	write(0, 3)
	if err := open().Close(); err != nil {
		t.Errorf("close of what was not read: %v", err)
	}
	e := open()
	next := 0
	for _, n := range []int{3, 1, 200, 1} {
		if next > 0 {
			write(next, next+n)
		}
		for range n {
			row, err := e.Next()
			if err != nil || row.Event.GetEventId() != fmt.Sprint("e", next) || row.Number != int64(next+1) {
				t.Fatalf("row %d: %v, %v", next, row, err)
			}
			next++
		}
		if p := e.Progress(); p.Rows != int64(next) {
			t.Errorf("progress %+v after %d rows", p, next)
		}
	}
	if err := e.Close(); err != nil {
		t.Errorf("close while the pipe is open: %v", err)
	}
}
