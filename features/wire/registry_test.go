package wire_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/features/wire"
)

// TestRegistry is about a real registry: that what we ship can be registered, that what would break its readers cannot,
// and that the registry says of an id which it does not have what we take it to say. PITBOSS_REGISTRY is its URL.
func TestRegistry(t *testing.T) {
	url := os.Getenv("PITBOSS_REGISTRY")
	if url == "" {
		if os.Getenv("PITBOSS_REQUIRE_REGISTRY") != "" {
			t.Fatal("PITBOSS_REQUIRE_REGISTRY is set, and PITBOSS_REGISTRY names no registry")
		}
		t.Skip("PITBOSS_REGISTRY names no registry: make test-registry starts one")
	}
	r := newRig(t, func(c *wire.Config) { c.Registry.URLs = []string{url} })
	client, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	register := func(subject string, kind sr.SchemaType, text string) (int, error) {
		s, err := client.CreateSchema(ctx, subject, sr.Schema{Schema: text, Type: kind})
		return s.ID, err
	}
	f := func(kind sr.SchemaType, text, broken, newer string, index []int, value []byte) {
		t.Helper()
		subject := "events-" + strings.ToLower(kind.String())
		id, err := register(subject, kind, text)
		if err != nil {
			t.Fatalf("%s: cannot register: %v", kind, err)
		}
		for _, c := range client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatBackward}, subject) {
			if c.Err != nil {
				t.Fatal(c.Err)
			}
		}
		if _, err = register(subject, kind, broken); err == nil {
			t.Errorf("%s: a schema that breaks readers was registered", kind)
		}
		second, err := register(subject, kind, newer)
		if err != nil {
			t.Errorf("%s: a schema with one more field: %v", kind, err)
		}
		for _, id := range []int{id, second} {
			if kind == sr.TypeAvro && id == second {
				continue // the value is by the first
			}
			got, refused := r.decode(record(framed(t, id, index, value))) //nolint:contextcheck // the rig asks under the test's own context
			if refused != nil {
				t.Errorf("%s, schema %d: refused: %s: %s", kind, id, refused.Reason, refused)
				continue
			}
			if diff := cmp.Diff(event(), got, protocmp.Transform()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", kind, diff)
			}
		}
	}
	avsc, text := wire.EventSchema(), eventProto(t)
	f(sr.TypeAvro, avsc, strings.Replace(avsc, `"name": "producer_seq",
      "type": "long",
      "default": 0`, `"name": "producer_seq",
      "type": "string",
      "default": ""`, 1), strings.Replace(avsc, `"fields": [`, `"fields": [{"name": "shiny", "type": "string", "default": ""},`, 1),
		nil, encodeAvro(t, avsc, asRecord(event().ProtoReflect())))
	f(sr.TypeProtobuf, text, strings.Replace(text, "uint64 producer_seq = 10", "string producer_seq = 10", 1),
		strings.Replace(text, "uint64 producer_seq = 10;", "uint64 producer_seq = 10; string shiny = 9000;", 1), eventIndex(), marshal(t, event()))

	if _, refused := r.decode(record(framed(t, 987654, nil, []byte{0}))); refused == nil || refused.Reason != wire.UnknownSchema {
		t.Errorf("an id that it does not have: %v, want %s", refused, wire.UnknownSchema)
	}
}
