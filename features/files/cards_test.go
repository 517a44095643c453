package files_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pitboss/features/files"
	pb "pitboss/proto/pitboss/v1"
)

// sharedRoot is where data sets that are not part of the repository lie.
func sharedRoot() string {
	if root := os.Getenv("PITBOSS_SHARED"); root != "" {
		return root
	}
	return filepath.Join("..", "..", "..", "shared", "data")
}

// shared gives a path in the data sets that are not part of the repository, and skips the test where they are absent.
func shared(t *testing.T, path string) string {
	t.Helper()
	full := filepath.Join(sharedRoot(), path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("data set %s is absent: %v", path, err)
	}
	return full
}

// The beginning of the card payments: a file that others wrote, with nanoseconds, dictionaries and large pages.
func TestCardPayments(t *testing.T) {
	ev, err := files.OpenEvents(shared(t, "cards/2018-04_to_07.parquet"), "../../examples/cards/map.yaml", files.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ev.Close(); err != nil {
			t.Error(err)
		}
	}()
	var last time.Time
	counts := map[string]int{}
	first := &files.Row{}
	for range 80_000 {
		row, err := ev.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("the file ends too soon")
		}
		if err != nil {
			t.Fatal(err)
		}
		if counts[row.Event.GetType()] == 0 && !row.Label {
			first = row
		}
		counts[row.Event.GetType()]++
		if at := row.ReceivedAt(); at.Before(last) {
			t.Fatalf("row %d at %s comes after %s", row.Number, at, last)
		} else {
			last = at
		}
	}
	if counts["label.assigned"] < 5_000 || counts["payment.deposit_requested"] < 60_000 {
		t.Errorf("got %v: want labels from the eighth day on", counts)
	}
	e := first.Event
	if e.GetEventId() != "0" || e.GetPaymentDepositRequested().GetAmount().GetAmountMinor() != 5716 ||
		!first.ReceivedAt().Equal(time.Date(2018, 4, 1, 0, 0, 31, 0, time.UTC)) || e.GetEntities()[0].GetValue() != "596" ||
		e.GetEntities()[1].GetForm() != pb.Form_FORM_RAW || len(first.Kept) != len(ev.Columns()) {
		t.Errorf("the first payment is %v", e)
	}
	if p := ev.Progress(); p.TotalRows != 1_169_723 || p.Rejected != 0 || p.Fraction() <= 0 || p.Fraction() > 0.2 {
		t.Errorf("progress is %+v", p)
	}
}

func BenchmarkCardPayments(b *testing.B) {
	path := filepath.Join(sharedRoot(), "cards", "2018-04_to_07.parquet")
	if _, err := os.Stat(path); err != nil {
		b.Skip(err)
	}
	ev, err := files.OpenEvents(path, "../../examples/cards/map.yaml", files.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ev.Next(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := ev.Close(); err != nil {
		b.Fatal(err)
	}
}
