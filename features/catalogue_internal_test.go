package features

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	pb "pitboss/proto/pitboss/v1"
)

// TestNoNameIsMixed holds that a field's name means one type of value in all payloads, so that a set can name it whatever it counts.
func TestNoNameIsMixed(t *testing.T) {
	kinds, err := NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, use := range kinds.tables.types {
		if use.mixed {
			t.Errorf("%s is of several types", name)
		}
	}
}

// TestEveryFieldCanBeMatched takes the example of every event type, and for each of its values compiles a group of the events that have it, and of
// those that have another: the example is in the one and not in the other. Integers can be summed, and named in expressions too.
func TestEveryFieldCanBeMatched(t *testing.T) {
	files, err := filepath.Glob("../examples/events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	kinds, err := NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, file := range files {
		ev := exampleOf(t, kinds, file)
		for i := range ev.Fields {
			f := &ev.Fields[i]
			if f.Name == "type" {
				continue
			}
			fields++
			if !matching(t, kinds, ev, f, literal(f, true)) {
				t.Errorf("%s: %s is not matched by its own value %s", ev.Type, f.Name, literal(f, true))
			}
			if value := literal(f, false); value != "" && matching(t, kinds, ev, f, value) {
				t.Errorf("%s: %s is matched by another value, %s", ev.Type, f.Name, value)
			}
		}
	}
	if fields < 500 {
		t.Errorf("only %d values", fields)
	}
}

// exampleOf reads an example and adds what the edge would.
func exampleOf(t *testing.T, kinds *Kinds, file string) *Event {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	msg, ev := &pb.Event{}, &Event{}
	if err := protojson.Unmarshal(data, msg); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	msg.Enrichment = &pb.Enrichment{
		AddressClass: "vpn", AsnClass: "datacenter", Country: "MT",
		CountryCurrencyMismatch: new(true), CardCountryMismatch: new(false), CardCurrencyMismatch: new(true),
	}
	if err := Decode(kinds, msg, ev); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return ev
}

// literal writes a field's value, or another one, as a set does; empty where the field can have no other.
func literal(f *Field, own bool) string {
	switch f.Type {
	case FieldText:
		switch {
		case own:
			return strconv.Quote(f.Text)
		case f.Name == "trust":
			return map[string]string{"client": "server", "server": "client"}[f.Text]
		case strings.HasSuffix(f.Name, "_class") && f.Name != "renderer_class" && f.Name != "screen_class":
			return "tor"
		}
		return strconv.Quote(f.Text + "x")
	case FieldBool:
		return strconv.FormatBool((f.Int == 1) == own)
	default:
		if own {
			return strconv.FormatInt(f.Int, 10)
		}
		return strconv.FormatInt(f.Int+1, 10)
	}
}

func matching(t *testing.T, kinds *Kinds, ev *Event, f *Field, value string) bool {
	t.Helper()
	kind := ev.Entities[0].Kind
	feature := "{name: n, group: g, aggregate: count, window: 1h}"
	if f.Type == FieldInt && !kinds.tables.byType[ev.Type][f.Name].money { // minor units are nothing without their currency
		feature += fmt.Sprintf(", {name: s, group: g, aggregate: sum, value: %s, window: 1h}, {name: c, aggregate: cel, expr: event.%s - n}", f.Name, f.Name)
	}
	source := fmt.Sprintf("format: 1\nname: s\nversion: '1'\ngroups: {g: {entity: %s, match: {type: %s, %s: %s}}}\nfeatures: [%s]\n",
		kind, ev.Type, f.Name, value, feature)
	set, err := CompileSet([]byte(source), ev.Type, CompileOptions{Kinds: kinds})
	if err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	return set.groups[0].matches(ev)
}
