package files_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"pitboss/features/files"
)

// decimals is a row with a decimal of each physical type, and one that is not read.
type decimals struct {
	ID    string   `parquet:"id"`
	At    int64    `parquet:"at"`
	Small int32    `parquet:"small,decimal(2:9)"`
	Large int64    `parquet:"large,decimal(3:18)"`
	Wide  [16]byte `parquet:"wide,decimal(4:38)"`
	Whole int32    `parquet:"whole,decimal(0:9)"`
	Much  [26]byte `parquet:"much,decimal(40:60)"`
}

// TestDecimals reads Parquet's decimals of each physical type exactly, negative ones and those below 1 too.
func TestDecimals(t *testing.T) {
	const rows = `
format: 1
event:
  type: custom.d
  tenant: t
  event_id: {column: id}
  occurred_at: {column: at, unit: s}
  entities: []
  attributes:
    small: {column: small, as: int, scale: 100}
    large: {column: large, as: int, scale: 1000}
    wide: {column: wide, as: int, scale: 10000}
    whole: {column: whole, as: number}
keep: [wide, small]
`
	negative := [16]byte(bytes.Repeat([]byte{0xff}, 16)) // -1, which is -0.0001
	positive := [16]byte{14: 0x30, 15: 0x39}             // 12345, which is 1.2345
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[decimals](&buf)
	for i, wide := range [][16]byte{positive, negative, {}} {
		r := decimals{ID: string(rune('a' + i)), At: int64(i), Small: -5, Large: 1234567, Wide: wide, Whole: 77}
		if _, err := w.Write([]decimals{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := write(t, "d.parquet", buf.Bytes())
	got, err := read(t, path, rows, files.Options{})
	if err != nil || len(got.rows) != 3 || len(got.rejects) > 0 {
		t.Fatalf("got %v, %v, rejects %v", got.rows, err, got.rejects)
	}
	for i, want := range []int64{12345, -1, 0} {
		a := got.rows[i].Event.GetAttributes()
		if a["wide"].GetInt() != want || a["small"].GetInt() != -5 || a["large"].GetInt() != 1234567 || a["whole"].GetNumber() != 77 {
			t.Errorf("row %d has %v, want wide %d", i, a, want)
		}
	}
	if kept := got.rows[1].Kept; kept[0].String() != "-0.0001" || kept[1].String() != "-0.05" {
		t.Errorf("kept are %q and %q", kept[0], kept[1])
	}
	if _, err := read(t, path, strings.ReplaceAll(rows, "column: small", "column: much"), files.Options{}); err == nil || !strings.Contains(err.Error(), `column "much": type DECIMAL(60,40) is not read: a decimal has`) {
		t.Errorf("a decimal of 40 digits behind the point: %v", err)
	}
}
