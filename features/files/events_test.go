package files_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/features/files"
	pb "pitboss/proto/pitboss/v1"
)

// write puts a file into a new directory.
func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// reading is what became of a file.
type reading struct {
	rows    []*files.Row
	rejects []string
	last    files.Progress
	columns []files.Column
}

func read(t testing.TB, path, mapping string, opt files.Options) (reading, error) {
	t.Helper()
	mapPath := ""
	if mapping != "" {
		mapPath = write(t, "map.yaml", []byte(mapping))
	}
	var out reading
	opt.OnReject = func(r files.Reject) { out.rejects = append(out.rejects, r.String()) }
	opt.OnProgress = func(p files.Progress) { out.last = p }
	ev, err := files.OpenEvents(path, mapPath, opt)
	if err != nil {
		return out, err
	}
	defer func() {
		if err := ev.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	out.columns = ev.Columns()
	for {
		row, err := ev.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out.rows = append(out.rows, row)
	}
}

// times lists what came, in order: event ids with their times.
func (r reading) times() string {
	var b strings.Builder
	for _, row := range r.rows {
		fmt.Fprintf(&b, "%s@%s ", row.Event.GetEventId(), row.ReceivedAt().Format("02T15:04:05"))
	}
	return strings.TrimSpace(b.String())
}

const payments = `
format: 1
event:
  type: payment.deposit_requested
  tenant: cards
  event_id: {column: id}
  occurred_at: {column: when}
  entities:
    - {kind: player, column: who, form: raw, prefix: "c-"}
  payload:
    method: card
    amount: {column: amount, scale: 100, currency: {column: currency, default: EUR}}
    three_ds: {column: secure}
  attributes:
    shop: {column: shop, as: text}
    weight: {column: weight, as: number}
    tip: {column: tip, as: money, scale: 100, currency: EUR}
labels:
  - {after: 24h, label: {column: bad, map: {0: honest, 1: fraud}}, fraud: {column: bad}, entities: [player]}
keep: [amount, shop]
`

const paymentsCSV = "\ufeffid,when,who,amount,currency,secure,shop,weight,tip,bad\n" +
	"a,2026-01-01T00:00:00Z,7,12.34,,1,\"north, upper\",1.5,,0\n" +
	"b,2026-01-01T12:00:00Z,8,5,GBP,no,,,0.5,1\n" +
	"c,2026-01-02T00:00:00Z,7,0.05,,true,x,,,\n"

func TestCSVThroughAMap(t *testing.T) {
	got, err := read(t, write(t, "p.csv", []byte(paymentsCSV)), payments, files.Options{})
	if err != nil || len(got.rejects) > 0 {
		t.Fatalf("got %v, rejects %v", err, got.rejects)
	}
	// The label of a was known when c came; c has none.
	const want = "a@01T00:00:00 b@01T12:00:00 a:label@02T00:00:00 c@02T00:00:00 b:label@02T12:00:00"
	if got.times() != want {
		t.Errorf("order: got %s, want %s", got.times(), want)
	}
	f := func(i int, wantText string) {
		t.Helper()
		if text := strings.Join(strings.Fields(got.rows[i].Event.String()), " "); !strings.Contains(text, wantText) {
			t.Errorf("event %d is %s\nwithout %s", i, text, wantText)
		}
	}
	f(0, `entities:{kind:"player" value:"c-7" form:FORM_RAW}`)
	f(0, `amount:{amount_minor:1234 currency:"EUR"} three_ds:true`)
	f(0, `text:"north, upper"`)
	f(1, `amount:{amount_minor:500 currency:"GBP"}`)
	f(1, `money:{amount_minor:50 currency:"EUR"}`)
	f(2, `label_assigned:{target_event_id:"a" label:"honest" source:"import" effective_at:{seconds:1767225600}}`)
	f(4, `label:"fraud" fraud:1`)
	if len(got.rows[1].Event.GetAttributes()) != 1 {
		t.Errorf("missing attributes were filled: %v", got.rows[1].Event.GetAttributes())
	}
	if k := got.rows[0].Kept; len(k) != 2 || k[0].String() != "12.34" || k[1].String() != "north, upper" || !got.rows[1].Kept[1].IsNull() {
		t.Errorf("kept %v and %v", k, got.rows[1].Kept)
	}
	if got.last.Rows != 3 || got.last.Events != 5 || got.last.Fraction() != 1 || got.last.TotalRows != -1 {
		t.Errorf("progress at the end is %+v", got.last)
	}
}

// A value that is wrong rejects its row, by row, column and reason, and the next one is read.
func TestRejects(t *testing.T) {
	f := func(row, want string) {
		t.Helper()
		csv := "id,when,who,amount,currency,secure,shop,weight,tip,bad\n" + row + "\nz,2026-01-09T00:00:00Z,1,1,,0,,,,0\n"
		got, err := read(t, write(t, "p.csv", []byte(csv)), payments, files.Options{})
		if err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		if len(got.rejects) != 1 || !strings.Contains(got.rejects[0], want) || !strings.HasPrefix(got.rejects[0], "row 1") {
			t.Errorf("%s: got %q, want %q", row, got.rejects, want)
		}
		if !strings.Contains(got.times(), "z@") {
			t.Errorf("%s: the row after it was lost: %s", row, got.times())
		}
	}
	f(",2026-01-01T00:00:00Z,1,1,,0,,,,0", "column id: missing_value")
	f("a,,1,1,,0,,,,0", "column when: missing_value")
	f("a,yesterday,1,1,,0,,,,0", "column when: bad_value")
	f("a,0000-01-01T00:00:00Z,1,1,,0,,,,0", "column when: bad_value")
	f("a,2026-01-01T00:00:00Z,1,1.234,,0,,,,0", "column amount: bad_value: event.payload.amount: \"1.234\" times 100 is no integer")
	f("a,2026-01-01T00:00:00Z,1,NaN,,0,,,,0", "column amount: bad_value")
	f("a,2026-01-01T00:00:00Z,1,1e300,,0,,,,0", "column amount: bad_value")
	f("a,2026-01-01T00:00:00Z,1,92233720368547758.08,,0,,,,0", "column amount: bad_value")
	f("a,2026-01-01T00:00:00Z,1,1,,maybe,,,,0", "column secure: bad_value")
	f("a,2026-01-01T00:00:00Z,1,1,,0,,Inf,,0", "column weight: bad_value")
	f("a,2026-01-01T00:00:00Z,1,1,,0,,,,2", "column bad: unmapped_value")
	f("a,2026-01-01T00:00:00Z,1,1", "malformed")
	f("a,2026-01-01T00:00:00Z,1,1,,0\"1,,,,0", "malformed")
	f("a,2026-01-01T00:00:00Z,1,1,,0,"+strings.Repeat("x", 70_000)+",,,0", "column shop: too_long")
}

// A label that cannot be made is rejected by itself; its event is given.
func TestBadLabelKeepsItsEvent(t *testing.T) {
	csv := "id,when,who,amount,currency,secure,shop,weight,tip,bad\na,2026-01-01T00:00:00Z,1,1,,0,,,,7\n"
	got, err := read(t, write(t, "p.csv", []byte(csv)), payments, files.Options{})
	if err != nil || got.times() != "a@01T00:00:00" || len(got.rejects) != 1 || got.last.Rejected != 1 {
		t.Errorf("got %q, %q, %v", got.times(), got.rejects, err)
	}
}

func TestFilesThatEndTheReading(t *testing.T) {
	f := func(name, content, mapping, want string) {
		t.Helper()
		_, err := read(t, write(t, name, []byte(content)), mapping, files.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %.40q: got %v, want an error with %q", name, content, err, want)
		}
	}
	f("p.csv", "", payments, "the first row must name the columns")
	f("p.csv", "id,when\n", payments, `no column "who"`)
	f("p.csv", "id,id,when,who,amount,currency,secure,shop,weight,tip,bad\n", payments, `several columns "id"`)
	f("p.csv", paymentsCSV, "", "a map must say")
	f("p.csv", paymentsCSV+"d,2026-01-01T23:00:00Z,7,1,,1,,,,0\n", payments, "row 4 goes back in time")
	f("p.csv", paymentsCSV+"d,\""+strings.Repeat("x", 3<<20), payments, "a row is longer than")
	f("p.csv", strings.Repeat("c,", 5000)+"\n", payments, "at most 4096")
	f("p.jsonl", "{}", payments, "leave the map")
	f("p.txt", "", "", "cannot tell the format")
	f("p.jsonl.gz", "", "", "decompress it first")
	f("p.parquet", "", payments, "too few for parquet")
	f("p.parquet", strings.Repeat("x", 100), payments, "does not end in PAR1")
	f("p.parquet", "PAR1"+strings.Repeat("x", 100)+"\xff\xff\xff\x00PAR1", payments, "the footer claims")
	f("p.parquet", "PAR1"+strings.Repeat("\xff", 100)+"\x40\x00\x00\x00PAR1", payments, "the footer is not parquet's")
	if _, err := files.OpenEvents(filepath.Join(t.TempDir(), "none.jsonl"), "", files.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

func TestJSONLines(t *testing.T) {
	lines := "\ufeff" + `{"eventId":"a","type":"bet.placed","occurredAt":"2026-01-01T00:00:00Z","betPlaced":{"amount":{"amountMinor":"5","currency":"EUR"}}}

{"eventId":"b","occurredAt":"2026-01-01T00:00:01Z","nonsense":1}
{"eventId":"c"}
not json
` + strings.Repeat(`[`, 100) + "\n" + `{"eventId":"` + strings.Repeat("x", 2<<20) + `"}
{"event_id":"d","occurred_at":"2026-01-01T00:00:02Z"}`
	got, err := read(t, write(t, "e.jsonl", []byte(lines)), "", files.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "a@01T00:00:00 d@01T00:00:02"; got.times() != want {
		t.Errorf("got %s, want %s", got.times(), want)
	}
	if got.rows[1].Number != 8 || got.rows[0].Event.GetBetPlaced().GetAmount().GetAmountMinor() != 5 {
		t.Errorf("rows are %v and %v", got.rows[0], got.rows[1])
	}
	want := []string{"row 3: malformed", "row 4, column occurredAt: bad_value", "row 5: malformed", "row 6: malformed", "row 7: too_long"}
	for i, w := range want {
		if i >= len(got.rejects) || !strings.HasPrefix(got.rejects[i], w) {
			t.Errorf("reject %d: got %q, want %q", i, got.rejects, w)
		}
	}
	if got.last.Bytes != int64(len(lines)) || got.last.Rejected != 5 {
		t.Errorf("progress at the end is %+v", got.last)
	}
}

// TestJSONLinesOfANewerMinor holds that a file is read as calls and Kafka are: what a newer minor schema adds is kept beside the event,
// and of this one's own it is a mistake.
func TestJSONLinesOfANewerMinor(t *testing.T) {
	line := `{"eventId":"%d","schemaVersion":%d,"type":"bet.placed","occurredAt":"2026-01-01T00:00:00Z","shiny":[1],"entities":[{"kind":"player","value":"p","form":"FORM_RAW","tier":2}],"deep":%s}` + "\n"
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	got, err := read(t, write(t, "e.jsonl", fmt.Appendf(nil, line+line+line, 1, 101, "1", 2, 100, "1", 3, 101, deep)), "", files.Options{})
	if err != nil || len(got.rows) != 1 || len(got.rejects) != 2 || !strings.HasPrefix(got.rejects[0], "row 2: malformed") || !strings.HasPrefix(got.rejects[1], "row 3: malformed") {
		t.Fatalf("%d rows, rejects %q, %v", len(got.rows), got.rejects, err)
	}
	want := []*pb.UnknownField{{Path: "deep", Json: "1"}, {Path: "entities.player.tier", Json: "2"}, {Path: "shiny", Json: "[1]"}}
	if diff := cmp.Diff(want, got.rows[0].Event.GetUnknown(), protocmp.Transform()); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}

// record is a Parquet row with every type that is read.
type record struct {
	ID     int64     `parquet:"id"`
	When   time.Time `parquet:"when,timestamp(microsecond)"`
	Who    *string   `parquet:"who,optional"`
	Amount float64   `parquet:"amount"`
	Cents  int32     `parquet:"cents"`
	Secure bool      `parquet:"secure"`
	Weight *float64  `parquet:"weight,optional"`
	Code   uint32    `parquet:"code"`
	Millis time.Time `parquet:"millis,timestamp(millisecond)"`
	Day    int32     `parquet:"day,date"`
	Tags   []string  `parquet:"tags,list"`
}

const records = `
format: 1
event:
  type: payment.deposit_requested
  tenant: t
  event_id: {column: id, prefix: p}
  occurred_at: {column: when}
  entities: [{kind: player, column: who, form: alias}]
  payload: {amount: {column: amount, scale: 100, currency: EUR}, three_ds: {column: secure}}
  attributes:
    cents: {column: cents, as: int, scale: 2}
    code: {column: code, as: int}
    weight: {column: weight, as: number}
    day: {column: day, as: text}
keep: [id, when, who, amount, cents, secure, weight, millis]
`

func parquetFile(t testing.TB, n int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[record](&buf, parquet.MaxRowsPerRowGroup(200), parquet.Compression(&parquet.Snappy))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		r := record{
			ID: int64(i), When: start.Add(time.Duration(i) * time.Second), Amount: float64(i) / 100, Cents: int32(-i), Secure: i%2 == 1,
			Code: math.MaxUint32, Millis: start, Day: 20454, Tags: []string{"a", "b"},
		}
		if i%3 != 0 {
			who := fmt.Sprintf("w%d", i%7)
			r.Who = &who
		}
		switch i % 4 {
		case 0:
			r.Weight = new(math.NaN())
		case 1:
			r.Weight = new(float64(i))
		}
		if _, err := w.Write([]record{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestParquetOfEveryType(t *testing.T) {
	const n = 777
	got, err := read(t, write(t, "r.parquet", parquetFile(t, n)), records, files.Options{})
	if err != nil || len(got.rejects) > 0 || len(got.rows) != n {
		t.Fatalf("got %d rows, %v, rejects %v", len(got.rows), err, got.rejects)
	}
	for i, row := range got.rows {
		want := &pb.Event{}
		wantIDs := 0
		if i%3 != 0 {
			wantIDs = 1
		}
		e := row.Event
		if e.GetEventId() != fmt.Sprintf("p%d", i) || len(e.GetEntities()) != wantIDs || e.GetAttributes()["cents"].GetInt() != int64(-2*i) ||
			e.GetAttributes()["code"].GetInt() != math.MaxUint32 || e.GetPaymentDepositRequested().GetAmount().GetAmountMinor() != int64(i) ||
			e.GetAttributes()["day"].GetText() != "2026-01-01T00:00:00Z" || (e.GetAttributes()["weight"] != nil) != (i%4 == 1) {
			t.Fatalf("row %d is %v (%v)", i, e, want)
		}
		if row.ReceivedAt().Unix() != 1767225600+int64(i) {
			t.Fatalf("row %d is at %s", i, row.ReceivedAt())
		}
	}
	if got.last.TotalRows != n || got.last.Fraction() != 1 {
		t.Errorf("progress at the end is %+v", got.last)
	}
	wantTypes := []files.ColumnType{
		files.ColumnInt, files.ColumnTime, files.ColumnText, files.ColumnNumber, files.ColumnInt, files.ColumnBool, files.ColumnNumber, files.ColumnTime,
	}
	for i, c := range got.columns {
		if c.Type != wantTypes[i] {
			t.Errorf("column %s is %s, want %s", c.Name, c.Type, wantTypes[i])
		}
	}
	_, err = read(t, write(t, "r.parquet", parquetFile(t, 1)), strings.Replace(records, "keep: [id", "keep: [tags, id", 1), files.Options{})
	if err == nil || !strings.Contains(err.Error(), `no column "tags"`) {
		t.Errorf("a column of lists: got %v", err)
	}
}

// Flipped bytes and cut ends must end in an error or in rows, never in a panic, a hang or a heap of gigabytes.
func TestTornParquet(t *testing.T) {
	whole := parquetFile(t, 500)
	rng := rand.New(rand.NewPCG(1, 2))
	failed := 0
	for i := range 400 {
		b := bytes.Clone(whole)
		switch i % 4 {
		case 0:
			b = b[:rng.IntN(len(b))]
		default:
			// The footer is where the lengths are: hit it more than its size deserves.
			for range 1 + rng.IntN(4) {
				at := rng.IntN(len(b))
				if i%2 == 0 {
					at = len(b) - 1 - rng.IntN(min(3000, len(b)))
				}
				b[at] ^= byte(1 + rng.IntN(255))
			}
		}
		if _, err := read(t, write(t, "r.parquet", b), records, files.Options{Sort: true}); err != nil {
			failed++
		}
	}
	if failed < 100 {
		t.Errorf("only %d of 400 torn files were refused", failed)
	}
}

// In any order, in memory or through temporary files, sorting gives what a sorted file gives.
func TestSortingGivesTheSortedFile(t *testing.T) {
	const n = 3000
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PITBOSS_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PITBOSS_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("%d,%s,%d,1,,0,,,,%d\n", i, start.Add(time.Duration(i)*time.Minute).Format(time.RFC3339), i%9, i%2)
	}
	const header = "id,when,who,amount,currency,secure,shop,weight,tip,bad\n"
	want, err := read(t, write(t, "p.csv", []byte(header+strings.Join(rows, ""))), payments, files.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rng.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	path := write(t, "p.csv", []byte(header+strings.Join(rows, "")))
	dir := t.TempDir()
	for _, run := range []int{0, 100} {
		got, err := read(t, path, payments, files.Options{Sort: true, TempDir: dir, SortRows: run})
		if err != nil {
			t.Fatal(err)
		}
		if got.times() != want.times() {
			t.Fatalf("runs of %d rows give another order than the sorted file", run)
		}
		for i := range got.rows {
			if diff := cmp.Diff(want.rows[i].Event, got.rows[i].Event, protocmp.Transform()); diff != "" || got.rows[i].Label != want.rows[i].Label ||
				fmt.Sprint(got.rows[i].Kept) != fmt.Sprint(want.rows[i].Kept) {
				t.Fatalf("runs of %d rows, row %d differs: %s", run, i, diff)
			}
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%d temporary files were left", len(left))
	}
}
