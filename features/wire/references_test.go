package wire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/features/wire"
)

// takeOut takes the record of a name out of a schema, leaves its name there, and gives it.
func takeOut(t *testing.T, schema any, name string) (rest any, record map[string]any) {
	t.Helper()
	switch s := schema.(type) {
	case map[string]any:
		if s["type"] == "record" && s["name"] == name {
			return "pitboss.v1." + name, s
		}
		for key, inner := range s {
			var found map[string]any
			if s[key], found = takeOut(t, inner, name); found != nil {
				record = found
			}
		}
	case []any:
		for i, inner := range s {
			var found map[string]any
			if s[i], found = takeOut(t, inner, name); found != nil {
				record = found
			}
		}
	}
	return schema, record
}

func schemaText(t *testing.T, schema any) string {
	t.Helper()
	data, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestReferences reads events whose Avro schema has its parts under subjects of their own.
func TestReferences(t *testing.T) {
	var whole any
	if err := json.Unmarshal([]byte(wire.EventSchema()), &whole); err != nil {
		t.Fatal(err)
	}
	whole, money := takeOut(t, whole, "Money")
	whole, bet := takeOut(t, whole, "BetPlaced")
	if bet == nil || money == nil {
		t.Fatal("an event has no bet with money in it")
	}
	r := newRig(t)
	refer := func(subject string, version int) sr.SchemaReference {
		return sr.SchemaReference{Name: subject, Subject: subject, Version: version}
	}
	seed := func(id int, subject, text string, kind sr.SchemaType, refs ...sr.SchemaReference) {
		r.registry.SeedSchema(subject, 1, id, sr.Schema{Schema: text, Type: kind, References: refs})
	}
	seed(11, "money", schemaText(t, money), sr.TypeAvro)
	seed(12, "bet", schemaText(t, bet), sr.TypeAvro, refer("money", 1))
	seed(13, "event", schemaText(t, whole), sr.TypeAvro, refer("bet", 1), refer("money", 1))
	value := encodeAvro(t, wire.EventSchema(), asRecord(event().ProtoReflect()))
	got, refused := r.decode(record(framed(t, 13, nil, value)))
	if refused != nil {
		t.Fatalf("refused: %s", refused)
	}
	if diff := cmp.Diff(event(), got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := r.decoder.Lookups(); n != 3 {
		t.Errorf("%d questions, want one for each schema", n)
	}

	// The fake refuses references to what it has not, so it has these, and answers otherwise.
	for i, subject := range []string{"round", "nobody", "later", "away"} {
		seed(40+i, subject, fmt.Sprintf(`{"type": "fixed", "name": "of_%s", "size": 1}`, subject), sr.TypeAvro)
	}
	answers := map[string]func(w http.ResponseWriter){
		"round": func(w http.ResponseWriter) {
			answer(w, http.StatusOK, `{"subject": "round", "version": 1, "id": 40, "schema": "\"int\"", "references": [{"name": "x", "subject": "round", "version": 1}]}`)
		},
		"nobody": func(w http.ResponseWriter) {
			answer(w, http.StatusNotFound, `{"error_code": 40401, "message": "no such subject"}`)
		},
		"later": func(w http.ResponseWriter) {
			answer(w, http.StatusNotFound, `{"error_code": 40402, "message": "no such version"}`)
		},
		"away": func(w http.ResponseWriter) {
			answer(w, http.StatusServiceUnavailable, `{"error_code": 50003, "message": "later"}`)
		},
	}
	r.registry.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		for subject, f := range answers {
			if strings.HasPrefix(req.URL.Path, "/subjects/"+subject+"/") {
				f(w)
				return true
			}
		}
		return false
	})
	seed(22, "text", "syntax = \"proto3\";", sr.TypeProtobuf)
	seed(23, "broken", `{"type": "nothing"}`, sr.TypeAvro)
	seed(24, "large", `{"type": "record", "name": "x", "doc": "`+strings.Repeat("x", 256<<10)+`", "fields": []}`, sr.TypeAvro)
	refusals := func(id int, want string, refs ...sr.SchemaReference) {
		t.Helper()
		seed(id, fmt.Sprint("event-", id), schemaText(t, whole), sr.TypeAvro, refs...)
		_, refused := r.decode(record(framed(t, id, nil, value)))
		if refused == nil || refused.Reason != wire.WrongSchema || !strings.Contains(refused.Message, want) {
			t.Errorf("%v, want %s and %q", refused, wire.WrongSchema, want)
		}
	}
	refusals(30, "refers to itself", refer("round", 1))
	refusals(31, "which the registry has not", refer("nobody", 1))
	refusals(32, "which the registry has not", refer("later", 1))
	refusals(33, "not Avro", refer("text", 1))
	refusals(34, "not an Avro schema", refer("broken", 1))
	refusals(35, "bytes with what it refers to", refer("large", 1))
	refusals(36, "not an Avro schema", refer("money", 1)) // and not to the bet
	var many []sr.SchemaReference
	for i := range 70 {
		seed(100+i, fmt.Sprint("part-", i), fmt.Sprintf(`{"type": "fixed", "name": "part%d", "size": 1}`, i), sr.TypeAvro)
		many = append(many, refer(fmt.Sprint("part-", i), 1))
	}
	refusals(37, "more than 64", many...)

	// A registry that cannot say what a part is has said nothing: the record waits.
	seed(38, "event-38", schemaText(t, whole), sr.TypeAvro, refer("away", 1))
	if _, err := r.decoder.Schemas(t.Context(), []int{38}); err == nil {
		t.Error("a part that could not be asked for is an answer")
	}
}

func answer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body)) // a test's server
}
