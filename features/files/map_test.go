package files_test

import (
	"strings"
	"testing"
	_ "time/tzdata" // zones where the machine has none

	"pitboss/features/files"
)

// Every refusal of a map has its line and its words.
func TestMapsThatAreRefused(t *testing.T) {
	const event = "event:\n  type: bet.placed\n  tenant: t\n  event_id: {column: a}\n  occurred_at: {column: b}\n  entities: []\n"
	f := func(source, want string) {
		t.Helper()
		_, err := files.ParseMap([]byte(source), "m.yaml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", source, err, want)
		}
	}
	f("", "a map is one YAML document")
	f("[]", "m.yaml:1:1: the map must be a mapping")
	f("a: [", "m.yaml:1:4")
	f(event, "must say format: 1")
	f("format: 2\n"+event, "m.yaml:1:1: the map must say format: 1")
	f("format: 1\n", "the map has no event")
	f("format: 1\nevents: {}\n"+event, `m.yaml:2:1: the map has no key "events"`)
	f("format: 1\norder: random\n"+event, `m.yaml:2:1: order is "random"`)
	f("format: 1\norder: *x\n"+event, "anchors (&)")
	f("format: 1\ncsv: {delimiter: ab}\n"+event, "csv.delimiter must be one character")
	f("format: 1\nkeep: [a, a]\n"+event, `keep names column "a" twice`)
	f("format: 1\nkeep: a\n"+event, "keep must be a list")
	f("format: 1\nevent: {type: bet.placed}\n", "event has no tenant")
	f("format: 1\n"+strings.Replace(event, "bet.placed", "bet.taken", 1), `m.yaml:3:3: event.type: there is no type "bet.taken"`)
	f("format: 1\n"+strings.Replace(event, "bet.placed", "occurred_at", 1), `there is no type "occurred_at"`)
	f("format: 1\n"+event+"  trust: nobody\n", `event.trust is "nobody"`)
	f("format: 1\n"+event+"  payload: {amout: 1}\n", `event.payload: bet.placed has no field "amout": it has amount, real`)
	f("format: 1\n"+event+"  payload: {amount: 1}\n", "needs a currency")
	f("format: 1\n"+event+"  payload: {amount: {column: x}}\n", "needs a currency")
	f("format: 1\n"+event+"  payload: {amount: {column: x, value: 1, currency: EUR}}\n", "either a column or a value")
	f("format: 1\n"+event+"  payload: {amount: {column: x, scale: 0, currency: EUR}}\n", "scale must be an integer from 1")
	f("format: 1\n"+event+"  payload: {selection: {column: x, scale: 3}}\n", `has no key "scale"`)
	f("format: 1\n"+event+"  payload: {selection: {column: ''}}\n", "the column has no name")
	f("format: 1\n"+event+"  attributes: {x: {column: y}}\n", "event.attributes.x needs as")
	f("format: 1\n"+event+"  attributes: {x: {column: y, as: date}}\n", `as is "date"`)
	f("format: 1\n"+event+"  attributes: {x: {column: y, as: money}}\n", "money needs a currency")
	f("format: 1\n"+strings.Replace(event, "{column: b}", "{column: b, unit: weeks}", 1), `unit is "weeks"`)
	f("format: 1\n"+strings.Replace(event, "{column: b}", "{column: b, zone: Mars/Base}", 1), `there is no zone "Mars/Base"`)
	f("format: 1\n"+strings.Replace(event, "[]", "[{kind: player, column: x}]", 1), "an entity needs kind and form")
	f("format: 1\n"+strings.Replace(event, "[]", "[{kind: player, column: x, form: hash}]", 1), `form is "hash"`)
	f("format: 1\n"+strings.Replace(event, "[]", "[{kind: p, column: x, form: raw}, {kind: p, column: y, form: raw}]", 1), "p stands twice")
	f("format: 1\n"+event+"labels: [{label: x}]\n", "has no after")
	f("format: 1\n"+event+"labels: [{after: 0s, label: x}]\n", "after must be a time like 168h")
	f("format: 1\n"+event+"labels: [{after: 1h}]\n", "has no label")
	f("format: 1\n"+event+"labels: [{after: 1h, label: x, entities: [shop]}]\n", `the event has no "shop"`)
	f("format: 1\n"+event+"labels: [{after: 1h, label: x}, {after: 2h, label: y}]\n", `id_suffix ":label" must not be empty, nor another`)
	f("format: 1\n"+strings.Replace(event, "{column: a}", "&a {column: a}", 1), "anchors (&)")
	f(strings.Repeat("- ", 30<<10), "m.yaml:1:33: nested deeper than 16")
	f(strings.Repeat("#", 300<<10), "at most")
	f("format: 1\n"+strings.Replace(event, "bet.placed", "custom.thing", 1)+"  payload: {}\n", `the type "custom.thing" has none`)
}

func TestMapsThatAreTaken(t *testing.T) {
	f := func(source string) {
		t.Helper()
		if _, err := files.ParseMap([]byte(source), "m.yaml"); err != nil {
			t.Errorf("%s\n%v", source, err)
		}
	}
	f(payments)
	f(records)
	f("format: 1\ncsv: {delimiter: \";\", missing: [NA, \"\"]}\nevent:\n  type: custom.thing\n  tenant: {value: t}\n  event_id: {column: a, suffix: x}\n" +
		"  occurred_at: {column: b, unit: \"2006-01-02 15:04\", zone: Europe/Malta}\n  entities: [{kind: player, value: me, form: alias}]\n  trust: client\n")
	if _, err := files.LoadMap("../../examples/cards/map.yaml"); err != nil {
		t.Error(err)
	}
}

// Times come in many forms, and are cut to the microsecond.
func TestTimes(t *testing.T) {
	f := func(options, value, want string) {
		t.Helper()
		m := "format: 1\ncsv: {delimiter: \";\"}\nevent:\n  type: custom.thing\n  tenant: t\n  event_id: {value: e}\n  occurred_at: {column: t" + options + "}\n  entities: []\n"
		got, err := read(t, write(t, "t.csv", []byte("t;x\n"+value+";1\n")), m, files.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if len(got.rejects) != 1 {
				t.Errorf("%s of %s: got %s, want a reject", options, value, got.times())
			}
			return
		}
		if len(got.rows) != 1 {
			t.Fatalf("%s of %s: %v", options, value, got.rejects)
		}
		if at := got.rows[0].ReceivedAt().Format("2006-01-02T15:04:05.999999999Z07:00"); at != want {
			t.Errorf("%s of %s: got %s, want %s", options, value, at, want)
		}
	}
	f("", "2026-03-01T01:02:03.1234567+01:00", "2026-03-01T00:02:03.123456Z")
	f(", unit: rfc3339", "2026-03-01T01:02:03Z", "2026-03-01T01:02:03Z")
	f(", unit: s", "1.5", "1970-01-01T00:00:01.5Z")
	f(", unit: s", "-1.000001", "1969-12-31T23:59:58.999999Z")
	f(", unit: ms", "1767225600123", "2026-01-01T00:00:00.123Z")
	f(", unit: us", "1767225600123456", "2026-01-01T00:00:00.123456Z")
	f(", unit: ns", "1767225600123456789", "2026-01-01T00:00:00.123456Z")
	f(", unit: \"2006-01-02 15:04:05\", zone: Europe/Berlin", "2026-07-01 12:00:00", "2026-07-01T10:00:00Z")
	f(", unit: s", "1e3", "")
	f(", unit: s", "99999999999999999", "")
	f(", unit: us", "0.5", "")
	f("", "soon", "")
}
