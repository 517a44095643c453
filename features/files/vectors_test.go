package files_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"pitboss/features"
	"pitboss/features/files"
)

const set = `
format: 1
name: s
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}}
features:
  - {name: zeta, group: bets, aggregate: count, window: 1m}
  - {name: alpha, group: bets, aggregate: count, window: 1h}
`

func newSet(t testing.TB) *features.Set {
	t.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := features.CompileSet([]byte(set), "set.yaml", features.CompileOptions{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func vector(at int64, values ...float64) *features.Vector {
	v := &features.Vector{At: at, Values: values}
	for _, x := range values {
		s := features.Present
		if math.IsNaN(x) {
			s = features.Missing
		}
		v.Status = append(v.Status, s)
	}
	return v
}

// writeVectors writes three vectors with every sort of kept cell, as a Parquet file of ours has them.
func writeVectors(t *testing.T, name string, status bool) string {
	t.Helper()
	src, err := files.OpenEvents(write(t, "r.parquet", parquetFile(t, 3)), write(t, "map.yaml", []byte(records)), files.Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	w, err := files.NewVectorWriter(path, newSet(t), files.VectorOptions{Status: status, Kept: src.Columns()})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range [][]float64{{0, math.NaN()}, {0.1, 1e300}, {math.NaN(), -3}} {
		row, err := src.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(row.Event.GetEventId(), vector(int64(i), v...), row.Kept); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file has its name before it is whole")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Rows() != 3 {
		t.Errorf("Rows: got %d, want 3", w.Rows())
	}
	return path
}

// What is missing is empty, and zero is zero.
func TestVectorsAsText(t *testing.T) {
	f := func(name string, status bool, want string) {
		t.Helper()
		got, err := os.ReadFile(writeVectors(t, name, status))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != strings.TrimLeft(want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	f("v.csv", false, `
event_id,t,zeta,alpha,id,when,who,amount,cents,secure,weight,millis
p0,1970-01-01T00:00:00.000000Z,0,,0,2026-01-01T00:00:00Z,,0,0,false,,2026-01-01T00:00:00Z
p1,1970-01-01T00:00:00.000001Z,0.1,1e+300,1,2026-01-01T00:00:01Z,w1,0.01,-1,true,1,2026-01-01T00:00:00Z
p2,1970-01-01T00:00:00.000002Z,,-3,2,2026-01-01T00:00:02Z,w2,0.02,-2,false,,2026-01-01T00:00:00Z
`)
	f("v.jsonl", true, `
{"event_id":"p0","t":"1970-01-01T00:00:00.000000Z","zeta":0,"alpha":null,"zeta__status":"present","alpha__status":"missing","id":0,"when":"2026-01-01T00:00:00Z","who":null,"amount":0,"cents":0,"secure":false,"weight":null,"millis":"2026-01-01T00:00:00Z"}
{"event_id":"p1","t":"1970-01-01T00:00:00.000001Z","zeta":0.1,"alpha":1e+300,"zeta__status":"present","alpha__status":"present","id":1,"when":"2026-01-01T00:00:01Z","who":"w1","amount":0.01,"cents":-1,"secure":true,"weight":1,"millis":"2026-01-01T00:00:00Z"}
{"event_id":"p2","t":"1970-01-01T00:00:00.000002Z","zeta":null,"alpha":-3,"zeta__status":"missing","alpha__status":"present","id":2,"when":"2026-01-01T00:00:02Z","who":"w2","amount":0.02,"cents":-2,"secure":false,"weight":null,"millis":"2026-01-01T00:00:00Z"}
`)
}

func TestVectorsAsParquet(t *testing.T) {
	content, err := os.ReadFile(writeVectors(t, "v.parquet", true))
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range f.Root().Columns() {
		names = append(names, c.Name())
	}
	if got, want := strings.Join(names, " "), "event_id t zeta alpha zeta__status alpha__status id when who amount cents secure weight millis"; got != want {
		t.Errorf("columns: got %s, want %s", got, want)
	}
	type row struct {
		EventID string   `parquet:"event_id"`
		T       int64    `parquet:"t,timestamp(microsecond)"`
		Zeta    *float64 `parquet:"zeta,optional"`
		Alpha   *float64 `parquet:"alpha,optional"`
		Status  string   `parquet:"alpha__status"`
		Who     *string  `parquet:"who,optional"`
		Secure  *bool    `parquet:"secure,optional"`
		Cents   *int64   `parquet:"cents,optional"`
	}
	rows := make([]row, 3)
	if n, err := parquet.NewGenericReader[row](f).Read(rows); n != 3 || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read %d rows: %v", n, err)
	}
	if r := rows[0]; r.EventID != "p0" || r.Zeta == nil || *r.Zeta != 0 || r.Alpha != nil || r.Status != "missing" || r.Who != nil || *r.Secure {
		t.Errorf("row 0 is %+v", r)
	}
	if r := rows[1]; r.T != 1 || *r.Zeta != 0.1 || *r.Alpha != 1e300 || *r.Who != "w1" || !*r.Secure || *r.Cents != -1 {
		t.Errorf("row 1 is %+v", r)
	}
}

func TestVectorsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	f := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	_, err := files.NewVectorWriter(filepath.Join(dir, "v.xls"), newSet(t), files.VectorOptions{})
	f(err, "cannot tell the format")
	_, err = files.NewVectorWriter(filepath.Join(dir, "none", "v.csv"), newSet(t), files.VectorOptions{})
	f(err, "no such file")
	_, err = files.NewVectorWriter(filepath.Join(dir, "v.csv"), newSet(t), files.VectorOptions{Kept: []files.Column{{Name: "alpha"}}})
	f(err, `two columns would be called "alpha"`)
	w, err := files.NewVectorWriter(filepath.Join(dir, "v.parquet"), newSet(t), files.VectorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f(w.Write("a", vector(0, 1), nil), "it has 1 values, the set 2")
	f(w.Write("a", vector(0, 1, 2), make([]files.Cell, 1)), "1 cells are kept, not 0")
	if err := w.Discard(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%s was left", left[0].Name())
	}
}
