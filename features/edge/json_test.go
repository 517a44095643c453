package edge_test

import (
	"errors"
	"strings"
	"testing"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// TestNoValueIsQuotedFromJSON puts a personal value wherever JSON can have a wrong one: the refusal says where it is and
// what is wrong, and never the value, since refusals are logged by whoever gets them and stay in dead letters.
func TestNoValueIsQuotedFromJSON(t *testing.T) {
	f := func(body, path, says string) {
		t.Helper()
		err := edge.DecodeJSON([]byte(body), "event", 16, &pb.Event{})
		refused, ok := errors.AsType[*edge.Error](err)
		if !ok {
			t.Fatalf("%s: got %v, want a refusal", body, err)
		}
		if refused.Reason != edge.InvalidJSON || refused.Path != path || !strings.Contains(refused.Message, says) {
			t.Errorf("%s: got %s at %q: %s; want %q with %q", body, refused.Reason, refused.Path, refused.Message, path, says)
		}
		for _, raw := range []string{"jane", "198.51", "4111"} {
			if strings.Contains(refused.Message, raw) {
				t.Errorf("%s: the refusal quotes a value: %s", body, refused.Message)
			}
		}
	}
	f(`{"event_id": 4111111111111111}`, "event.event_id", "invalid value for string field eventId (line 1, column 14)")
	f(`{"entities": ["198.51.100.7"]}`, "event.entities[0]", "unexpected token")
	f(`{"entities": [null]}`, "event.entities[0]", "unexpected token null")
	f(`{"entities": [{"kind": "ip", "value": ["jane"]}]}`, "event.entities[0].value", "invalid value for string field value: [")
	f(`{"entities": [{"form": "jane@example.com"}]}`, "event.entities[0].form", "invalid value for enum field form")
	f(`{"producer_seq": "jane: a b"}`, "event.producer_seq", "invalid value for uint64 field producerSeq")
	f(`{"producer_seq": -4111}`, "event.producer_seq", "invalid value for uint64 field producerSeq")
	f(`{"occurred_at": "jane@example.com"}`, "event.occurred_at", "invalid google.protobuf.Timestamp value")
	f(`{"occurred_at": "0000-01-01T00:00:00Z"}`, "event.occurred_at", "google.protobuf.Timestamp value")
	f(`{"attributes": {"a": {"flag": "jane"}}}`, "event.attributes.a.flag", "invalid value for bool field flag")
	f(`{"attributes": {"a": {"number": "jane\nx"}}}`, "event.attributes.a.number", "invalid value for double field number")
	f(`{"attributes": {"a": {"text": "\ud800\jane"}}}`, "event.attributes.a.text", "invalid escape code")
	f(`{"event_id": "\ud800"}`, "event.event_id", "half of a surrogate pair at byte 14")
	f(`{"brand": "\\\ud83d\ude00\\", "entities": [{"kind": "x", "value": "\udc00"}]}`, "event.entities[0].value", "half of a surrogate pair")
	f(`{"attributes": {"a": {"text": "jane\ud800x"}}}`, "event.attributes.a.text", "half of a surrogate pair")
	f(`{"attributes": {"\ud800": {}}}`, `event.attributes.\ufffd`, "invalid escape code")
	f(`{"tenant": "é", "event_id": "jane`, "event.event_id", "unexpected EOF")
	f(`{"brand": jane}`, "event.brand", "invalid value")
	f(`{"brand": "x"} 198.51`, "event", "unexpected token")
	f(`{"event_id": "jane", "event_id": "jane"}`, "event.event_id", `duplicate field "event_id"`)
	f("", "event", "no body")
}
