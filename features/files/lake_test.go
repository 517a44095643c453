package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/files"
	pb "pitboss/proto/pitboss/v1"
)

// stored is an event as the journal has it; day counts from the first of November.
func stored(id, typ string, day int, change func(*pb.Event)) *pb.Event {
	at := &timestamppb.Timestamp{Seconds: 1_793_491_200 + int64(day)*86_400} // 2026-11-01
	ev := &pb.Event{
		EventId: id, Type: typ, Tenant: "acme", SchemaVersion: 101, OccurredAt: at, ReceivedAt: at,
		Entities:   []*pb.Identifier{{Kind: "player", Value: "ak1_x", Form: pb.Form_FORM_ALIAS}},
		Enrichment: &pb.Enrichment{Derived: []*pb.Identifier{{Kind: "ip24", Value: "n1"}}, ListHits: []*pb.ListHit{{List: "stolen", Version: "7"}}},
		Attributes: map[string]*pb.Value{"b": {Kind: &pb.Value_Int{Int: 5}}, "a": {Kind: &pb.Value_Text{Text: "x"}}},
	}
	if change != nil {
		change(ev)
	}
	return ev
}

func betOf(minor int64) func(*pb.Event) {
	return func(ev *pb.Event) {
		ev.Payload = &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: minor, Currency: "GBP", BaseMinor: new(minor * 2)}, OddsPpm: 7, InputMode: "manual"}}
	}
}

func newLake(t *testing.T, dir string) *files.Lake {
	t.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := files.NewLake(dir, kinds)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// cellsOf reads one file back: its rows as column=value for what is there, and its metadata.
func cellsOf(t *testing.T, path string) (rows []map[string]string, meta func(string) string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(strings.NewReader(string(data)), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.RowGroups() {
		r := g.Rows()
		buf := make([]parquet.Row, 100)
		for {
			n, err := r.ReadRows(buf)
			for _, row := range buf[:n] {
				cells := map[string]string{}
				for _, v := range row {
					if !v.IsNull() {
						cells[f.Schema().Columns()[v.Column()][0]] = v.String()
					}
				}
				rows = append(rows, cells)
			}
			if err != nil {
				break
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return rows, func(key string) string { v, _ := f.Lookup(key); return v }
}

func TestLake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lake")
	l := newLake(t, dir)
	for i := range 300 {
		if err := l.Write(stored(fmt.Sprint("e", i), "bet.placed", i%3, betOf(int64(i)))); err != nil {
			t.Fatal(err)
		}
	}
	unknown := func(ev *pb.Event) {
		ev.Unknown = []*pb.UnknownField{{Path: "#961", Protobuf: "AA=="}, {Path: "shiny", Json: `{"a":1}`}}
	}
	if err := l.Write(stored("c", "custom.x", 0, unknown)); err != nil {
		t.Fatal(err)
	}
	label := func(ev *pb.Event) {
		ev.Payload = &pb.Event_LabelAssigned{LabelAssigned: &pb.LabelAssigned{TargetEventId: "e1", Label: "fraud", Fraud: 1, EffectiveAt: &timestamppb.Timestamp{Seconds: 60}}}
	}
	if err := l.Write(stored("l", "label.assigned", 0, label)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory has its name before it is whole")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l.Rows() != 302 || l.Files() != 5 {
		t.Errorf("%d rows in %d files, want 302 in 5", l.Rows(), l.Files())
	}
	rows, meta := cellsOf(t, filepath.Join(dir, "type=bet.placed", "day=2026-11-02", "part-0.parquet"))
	if len(rows) != 100 || meta("pitboss.schema_version") != "100" || meta("pitboss.event_type") != "bet.placed" {
		t.Fatalf("%d rows, schema %q, type %q", len(rows), meta("pitboss.schema_version"), meta("pitboss.event_type"))
	}
	want := map[string]string{
		"event_id": "e1", "tenant": "acme", "schema_version": "101", "entity_player": "ak1_x", "entity_ip24": "n1", "amount_minor": "1", "amount_currency": "GBP",
		"amount_base_minor": "2", "odds_ppm": "7", "input_mode": "manual", "attributes": `{"a":{"text":"x"},"b":{"int":"5"}}`, "list_hits": `["stolen@7"]`,
	}
	for column, v := range want {
		if strings.ReplaceAll(rows[0][column], " ", "") != v {
			t.Errorf("%s is %q, want %q", column, rows[0][column], v)
		}
	}
	if _, there := rows[0]["real_minor"]; there {
		t.Error("an amount that is absent is there")
	}
	rows, _ = cellsOf(t, filepath.Join(dir, "type=label.assigned", "day=2026-11-01", "part-0.parquet"))
	if rows[0]["target_event_id"] != "e1" || rows[0]["effective_at"] == "" || rows[0]["fraud"] != "1" {
		t.Errorf("the label reads %v", rows[0])
	}
	rows, _ = cellsOf(t, filepath.Join(dir, "type=custom.x", "day=2026-11-01", "part-0.parquet"))
	if got, want := rows[0]["unknown"], `[{"path":"#961","protobuf":"AA=="},{"path":"shiny","json":{"a":1}}]`; got != want {
		t.Errorf("what nobody could read is %s, want %s", got, want)
	}
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files.NewLake(dir, kinds); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("over another lake: got %v", err)
	}
}

// Of more files than may be open, what was written longest ago is finished, and goes on in another part.
func TestLakeOfManyDays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lake")
	l := newLake(t, dir)
	for round := range 2 {
		for day := range 70 {
			if err := l.Write(stored(fmt.Sprint(round, "-", day), "bet.placed", day, betOf(1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	parts, err := filepath.Glob(filepath.Join(dir, "type=bet.placed", "day=*", "part-*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, p := range parts {
		rows, _ := cellsOf(t, p)
		total += len(rows)
	}
	if total != 140 || len(parts) != l.Files() || len(parts) <= 70 {
		t.Errorf("%d rows in %d files, %d said", total, len(parts), l.Files())
	}
	l = newLake(t, dir+"2")
	if err := l.Write(stored("e", "bet.placed", 1, betOf(1))); err != nil {
		t.Fatal(err)
	}
	if err := l.Discard(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(dir + "2*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left over", left, err)
	}
}
