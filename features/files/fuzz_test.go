package files_test

import (
	"bytes"
	"testing"

	"pitboss/features/files"
)

func fuzzFile(f *testing.F, name, mapping string) {
	f.Helper()
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<20 {
			t.Skip("too large to be interesting")
		}
		for _, sorted := range []bool{false, true} {
			got, err := read(t, write(t, name, content), mapping, files.Options{Sort: sorted, SortRows: 40, TempDir: t.TempDir()})
			if err != nil {
				continue
			}
			for i := 1; i < len(got.rows); i++ {
				if got.rows[i].ReceivedAt().Before(got.rows[i-1].ReceivedAt()) {
					t.Fatalf("row %d goes back in time", got.rows[i].Number)
				}
			}
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte(paymentsCSV))
	f.Add([]byte("id,when,who,amount,currency,secure,shop,weight,tip,bad\n\"a\"\"\",2026-01-01T00:00:00Z,7,-0.00,,1,\"\n\",1e309,.,0"))
	fuzzFile(f, "p.csv", payments)
}

func FuzzJSONL(f *testing.F) {
	f.Add([]byte(`{"eventId":"a","type":"bet.placed","occurredAt":"2026-01-01T00:00:00Z","attributes":{"x":{"number":1}}}` + "\n\n{}"))
	fuzzFile(f, "e.jsonl", "")
}

func FuzzParquet(f *testing.F) {
	f.Add(parquetFile(f, 3))
	f.Add(parquetFile(f, 250))
	fuzzFile(f, "r.parquet", records)
}

func FuzzMap(f *testing.F) {
	f.Add([]byte(payments))
	f.Add([]byte(records))
	f.Fuzz(func(t *testing.T, source []byte) {
		if len(source) > 1<<16 {
			t.Skip("too large to be interesting")
		}
		m, err := files.ParseMap(source, "m.yaml")
		if (m == nil) == (err == nil) {
			t.Fatalf("a map %v with error %v", m, err)
		}
		if again, err2 := files.ParseMap(bytes.Clone(source), "m.yaml"); (again == nil) != (m == nil) || (err2 == nil) != (err == nil) {
			t.Fatal("the same map is read in two ways")
		}
	})
}
