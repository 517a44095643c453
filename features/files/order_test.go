package files_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pitboss/features"
	"pitboss/features/files"
)

// clocks is JSON lines of events: id@second, or id@second= for a label.
func clocks(list ...string) []byte {
	var b strings.Builder
	for _, l := range list {
		id, at, _ := strings.Cut(l, "@")
		typ := "custom.x"
		if s, label := strings.CutSuffix(at, "="); label {
			typ, at = "label.assigned", s
		}
		fmt.Fprintf(&b, `{"eventId":%q,"type":%q,"tenant":"acme","occurredAt":"2026-01-01T00:00:%sZ"}`+"\n", id, typ, at)
	}
	return []byte(b.String())
}

// given gives the ids in the order they come, each with its place.
func given(t *testing.T, path string, opt files.Options) (ids, places []string) {
	t.Helper()
	events, err := files.OpenEvents(path, "", opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := events.Close(); err != nil {
			t.Error(err)
		}
	}()
	for {
		row, err := events.Next()
		if errors.Is(err, io.EOF) {
			return ids, places
		}
		if err != nil {
			t.Fatal(err)
		}
		ids, places = append(ids, row.Event.GetEventId()), append(places, fmt.Sprint(row.Place))
	}
}

func TestOrderOfEvents(t *testing.T) {
	f := func(name string, opt files.Options, list []string, want string) {
		t.Helper()
		ids, _ := given(t, write(t, "e.jsonl", clocks(list...)), opt)
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %v gives %q, want %q", name, list, got, want)
		}
	}
	ties := []string{"d@01", "b@02", "a@02", "l@02=", "c@02", "e@03"}
	f("one moment goes by event_id, labels first", files.Options{}, ties, "d l a b c e")
	f("so it does where it is sorted", files.Options{Sort: true}, ties, "d l a b c e")
	f("and through files", files.Options{Sort: true, SortRows: 2}, ties, "d l a b c e")
	f("as it arrived", files.Options{AsArrived: true}, []string{"d@03", "b@01", "a@02"}, "d b a")
	f("as it arrived, though sorting is wished too", files.Options{AsArrived: true, Sort: true}, []string{"d@03", "b@01"}, "d b")
}

// Shuffling moves rows and nothing else: what is applied, and when, is the same for every seed.
func TestShuffleMovesPlacesOnly(t *testing.T) {
	var list []string
	for i := range 40 {
		list = append(list, fmt.Sprintf("e%02d@%02d", i*7%40, i/4))
	}
	path := write(t, "e.jsonl", clocks(list...))
	plain, _ := given(t, path, files.Options{})
	orders := map[string]bool{}
	for seed := range uint64(5) {
		for _, rows := range []int{0, 7} {
			ids, places := given(t, path, files.Options{Shuffle: &seed, SortRows: rows})
			if !slices.Equal(ids, plain) {
				t.Errorf("seed %d applies %v, want %v", seed, ids, plain)
			}
			orders[strings.Join(places, " ")] = true
			slices.Sort(places)
			if len(slices.Compact(places)) != len(list) {
				t.Errorf("seed %d: two rows share a place", seed)
			}
		}
	}
	if len(orders) != 5 {
		t.Errorf("5 seeds gave %d orders", len(orders))
	}
	seed := uint64(1)
	ids, _ := given(t, path, files.Options{Shuffle: &seed, AsArrived: true})
	if slices.Equal(ids, plain) {
		t.Error("as arrived, the shuffled order is not kept")
	}
}

// Vectors come out in the order of their places, from memory and from the temporary file.
func TestPlacedVectors(t *testing.T) {
	f := func(name string, rows, every int) {
		t.Helper()
		dir := t.TempDir()
		out := filepath.Join(dir, "v.csv")
		w, err := files.NewVectorWriter(out, newSet(t), files.VectorOptions{Status: true, Kept: []files.Column{{Name: "k", Type: files.ColumnText}}})
		if err != nil {
			t.Fatal(err)
		}
		p := files.NewPlacedVectors(w, dir)
		pad := strings.Repeat("x", 100_000)
		for i := range rows {
			place := i/every*every + (every - 1 - i%every) // each group of every rows backwards
			v := &features.Vector{At: int64(place), Values: []float64{float64(place), math.NaN()}, Status: []features.Status{features.Capped, features.Missing}}
			if err = p.Write(int64(place), fmt.Sprint("e", place), v, []files.Cell{files.TextCell(pad[:1+place%7*10_000])}); err != nil {
				t.Fatal(err)
			}
			if i%every == every-1 {
				if err = p.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err = errors.Join(p.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")[1:]
		if len(lines) != rows {
			t.Fatalf("%s: %d rows, want %d", name, len(lines), rows)
		}
		for i, line := range lines {
			if want := fmt.Sprintf("e%d,1970-01-01T00:00:00.%06dZ,%d,,capped,missing,", i, i, i) + pad[:1+i%7*10_000]; line != want {
				t.Fatalf("%s: row %d is %.100q, want %.100q", name, i, line, want)
			}
		}
		if left, err := filepath.Glob(filepath.Join(dir, "pitboss-*")); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v are left over", name, left, err)
		}
	}
	f("one at a time", 20, 1)
	f("groups", 20, 4)
	f("more than memory holds", 3000, 3000)
}
