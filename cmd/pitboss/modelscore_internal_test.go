package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pitboss/models"
)

// failingWriter takes so many bytes.
type failingWriter struct{ left int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(b), nil
}

// TestScoreRowsInOrder: rows of many blocks come out in their order, each with the bits of a single row, and the first bad one ends
// the run with its place and everything before it written.
func TestScoreRowsInOrder(t *testing.T) {
	text, err := os.ReadFile(goldenModel + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	m, err := models.Load(text, models.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	const n = 5*blockRows + 17
	names := m.Info().FeatureNames()
	lines := []string{strings.Join(names, ",")}
	want := []string{}
	var s models.Scratch
	margins, scores, phi := make([]float64, 1), make([]float64, 1), make([]float64, len(names))
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for i := range n {
		row, cells := make([]float64, len(names)), make([]string, len(names))
		for j := range row {
			row[j] = float64((i*7+j*13)%101)/16 - 2
			cells[j] = number(row[j])
		}
		lines = append(lines, strings.Join(cells, ","))
		if err := errors.Join(m.Explain(row, &s, margins, phi), m.Predict(row, &s, margins), m.Score(margins, scores)); err != nil {
			t.Fatal(err)
		}
		out := []string{number(margins[0]), number(scores[0])}
		for _, x := range slices.Concat(phi, m.Info().Base) {
			out = append(out, number(x))
		}
		want = append(want, strings.Join(out, ","))
	}
	f := func(change map[int]string, rows int, wantErr string) {
		t.Helper()
		in := append([]string(nil), lines...)
		for row, line := range change {
			in[row] = line
		}
		for _, contrib := range []bool{false, true} {
			var out bytes.Buffer
			err := scoreRows(context.Background(), m, strings.NewReader(strings.Join(in, "\n")+"\n"), "rows.csv", &out, contrib)
			if got := fmt.Sprint(err); !strings.Contains(got, wantErr) {
				t.Errorf("%v, want %q", err, wantErr)
			}
			got := strings.Split(strings.TrimSpace(out.String()), "\n")[1:]
			if len(got) != rows {
				t.Fatalf("%v: %d rows, want %d", change, len(got), rows)
			}
			for i := range got {
				if got[i] != want[i] && (contrib || !strings.HasPrefix(want[i], got[i]+",")) {
					t.Fatalf("row %d: %s, want %s", i+1, got[i], want[i])
				}
			}
		}
	}
	infinite, word := strings.Repeat("inf,", len(names)-1)+"1", strings.Repeat("word,", len(names)-1)+"1"
	f(nil, n, "<nil>")
	f(map[int]string{700: word}, 699, `rows.csv: row 700 (line 701): column "Column_0": "word" is no number`)
	f(map[int]string{700: infinite, 701: word, 900: "1"}, 699, `rows.csv: row 700 (line 701): `+models.ErrRow.Error())
	f(map[int]string{700: word, 701: infinite}, 699, `"word" is no number`)
	f(map[int]string{blockRows + 1: "1"}, blockRows, fmt.Sprintf("row %d (line %d): ", blockRows+1, blockRows+2))
	f(map[int]string{n: word}, n-1, fmt.Sprintf("row %d (line %d): ", n, n+1))

	file := strings.Join(lines, "\n")
	if err := scoreRows(context.Background(), m, strings.NewReader(file), "rows.csv", &failingWriter{left: 10_000}, false); err == nil ||
		err.Error() != "cannot write the output: the disk is full" {
		t.Errorf("%v, want that the output cannot be written", err)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if err := scoreRows(ended, m, strings.NewReader(file), "rows.csv", &bytes.Buffer{}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
}
