package files_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"pitboss/features"
	"pitboss/features/files"
)

// BenchmarkWriteVectors writes vectors of 64 features with their statuses, as an export does.
func BenchmarkWriteVectors(b *testing.B) {
	for _, name := range []string{"v.parquet", "v.csv", "v.jsonl"} {
		b.Run(strings.TrimPrefix(name, "v."), func(b *testing.B) {
			var text strings.Builder
			text.WriteString("format: 1\nname: s\nversion: \"1\"\ngroups:\n  bets: {entity: player, match: {type: bet.placed}}\nfeatures:\n")
			for i := range 64 {
				fmt.Fprintf(&text, "  - {name: f%d, group: bets, aggregate: count, window: 1h}\n", i)
			}
			kinds, err := features.NewKinds(nil)
			if err != nil {
				b.Fatal(err)
			}
			set, err := features.CompileSet([]byte(text.String()), "set.yaml", features.CompileOptions{Kinds: kinds})
			if err != nil {
				b.Fatal(err)
			}
			kept := []files.Column{{Name: "a", Type: files.ColumnText}, {Name: "b", Type: files.ColumnNumber}, {Name: "c", Type: files.ColumnTime}}
			w, err := files.NewVectorWriter(filepath.Join(b.TempDir(), name), set, files.VectorOptions{Status: true, Kept: kept})
			if err != nil {
				b.Fatal(err)
			}
			v := &features.Vector{Values: make([]float64, 64), Status: make([]features.Status, 64)}
			cells := []files.Cell{files.TextCell("block"), files.NumberCell(0.25), {}}
			n := 0
			for b.Loop() {
				for i := range v.Values {
					v.Values[i] = float64(n * i % 97)
					if i%5 == 0 {
						v.Values[i], v.Status[i] = math.NaN(), features.Missing
					}
				}
				v.At += 1_000_000
				if err := w.Write("0c1d6b3e-8a5a-4d3f-9f39-0d6a3f0e7a11", v, cells); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
