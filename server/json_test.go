package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

func TestJSONThatIsRefused(t *testing.T) {
	r := start(t, func(cfg *server.Config) { cfg.Limits.BodyBytes = 16 << 10 })
	f := func(body string, status int, reason, path, says string) {
		t.Helper()
		got := r.call(t, "engine", "POST", "/v1/decisions", body)
		if got.status != status || got.err.Reason != reason || got.err.Path != path || !strings.Contains(got.err.Message, says) {
			t.Errorf("%.120s\ngot %d %s\nwant %d %s at %q with %q", body, got.status, got.body, status, reason, path, says)
		}
	}
	bad := func(body, path, says string) { t.Helper(); f(body, 400, "INVALID_JSON", path, says) }
	event := func(inner string) string { return `{"event": {` + inner + `}}` }

	bad("", "", "no body")
	bad(" \n", "", "no body")
	bad("x", "", "")
	bad("[]", "", "")
	bad(`{"event": {}} {}`, "", "")
	bad(`{"event": {}`, "", "")
	bad(`{"envent": {}}`, "envent", `unknown field "envent"`)
	bad(event(`"even_id": "a"`), "event.even_id", "unknown field")
	bad(event(`"event_id": 7`), "event.event_id", "")
	bad(event(`"event_id": "a", "event_id": "b"`), "event.event_id", "duplicate")
	bad(event(`"event_id": "a", "eventId": "b"`), "event.eventId", "duplicate")
	bad(event("\"event_id\":\n \"é\",\n \"occurred_at\": \"yesterday\""), "event.occurred_at", "line 3")
	bad(event(`"entities": [{"kind": "player"}, {"kind": "device", "form": "RAW"}]`), "event.entities[1].form", "")
	bad(event(`"entities": {"kind": "player"}`), "event.entities", "")
	bad(event(`"bet_placed": {"amount": {"amount_minor": 1.5}}`), "event.bet_placed.amount.amount_minor", "")
	bad(event(`"bet_placed": {"amount": {"amount_minor": 9223372036854775808}}`), "event.bet_placed.amount.amount_minor", "")
	bad(event(`"bet_placed": {"amount": {"amount_minor": 1e400}}`), "event.bet_placed.amount.amount_minor", "")
	bad(event(`"bet_placed": {}, "auth_login": {}`), "event.auth_login", "oneof")
	bad(event(`"attributes": {"a": {"int": 1, "text": "x"}}`), "event.attributes.a.text", "oneof")
	bad(event(`"brand": "a`+"\xff"+`"`), "event.brand", "UTF-8")
	bad(event(`"brand": "\ud800"`), "event.brand", "half of a surrogate pair")
	f(event(`"type": "bet.placed", "tenant": "casino", "event_id": "a\u202eb"`), 400, "INVALID_FIELD", "event.event_id", "U+202E")
	bad(event(`"`+strings.Repeat("z", 100)+`": 1`), "event."+strings.Repeat("z", 64)+"...", "unknown field")
	bad(`{"options": {"explain": "EXPLAIN_LOTS"}}`, "options.explain", "")

	f(strings.Repeat("[", 5000), 400, "TOO_DEEP", "", "16")
	f(event(`"attributes": `+strings.Repeat(`{"a":`, 40)+`1`+strings.Repeat(`}`, 40)), 400, "TOO_DEEP", "", "16")
	f(event(`"brand": "`+strings.Repeat("x", 20<<10)+`"`), 413, "TOO_LARGE", "", "16384")
	f(event(`"brand": "`+strings.Repeat("[", 100)+`\"{{{"`), 400, "MISSING_FIELD", "event.type", "")
	f(event(`"attributes": {"a": {"number": "NaN"}}`), 400, "MISSING_FIELD", "event.type", "")
	f(strings.TrimSuffix(betJSON("e"), "}}")+`,"attributes": {"a": {"number": "NaN"}}}}`, 400, "INVALID_FIELD", "event.attributes.a.number", "finite")
}

// TestNewerMinorInJSON holds that an event which says that it is of a newer minor schema may have what this build does not
// know, kept beside it, and that nothing else of a body may.
func TestNewerMinorInJSON(t *testing.T) {
	r := start(t, nil)
	var got *pb.Event
	r.backend.decide = func(_ context.Context, ev *features.Event, _ decide.Options) (*pb.Decision, error) {
		got = ev.Msg
		return &pb.Decision{}, nil
	}
	body := func(version, options string) string {
		return `{"event": ` + newerEvent(version) + options + `}`
	}
	if a := r.call(t, "engine", "POST", "/v1/decisions", body("101", `, "options": {"dry_run": true}`)); a.status != 200 {
		t.Fatalf("version 101: got %d %s", a.status, a.body)
	}
	if list := got.GetUnknown(); len(list) != 1 || list[0].GetPath() != "shiny" || list[0].GetJson() != `{"a":1}` {
		t.Errorf("kept %v", list)
	}
	f := func(what, body string, status int, path string) {
		t.Helper()
		if a := r.call(t, "engine", "POST", "/v1/decisions", body); a.status != status || a.err.Path != path {
			t.Errorf("%s: got %d %s, want %d at %q", what, a.status, a.body, status, path)
		}
	}
	f("version 100", body("100", ""), 400, "event.shiny")
	f("a newer major", body("200", ""), 400, "event.schema_version")
	f("an option that does not exist", body("101", `, "options": {"dry": true}`), 400, "event.shiny")
	f("a member that does not exist", body("101", `, "evil": 1`), 400, "event.shiny")
	one := newerEvent("101")
	if a := r.call(t, "engine", "POST", "/v1/events", `{"events": [`+one+`]}`); a.status != 200 || !strings.Contains(a.body, "ACCEPTED") {
		t.Errorf("a batch: got %d %s", a.status, a.body)
	}
	if a := r.call(t, "engine", "POST", "/v1/events", `{"events": [`+one+`,`+newerEvent("100")+`]}`); a.status != 400 {
		t.Errorf("a batch with one of version 100: got %d %s", a.status, a.body)
	}
}

func newerEvent(version string) string {
	return strings.TrimSuffix(eventJSON("e"), "}") + `, "schema_version": ` + version + `, "shiny": {"a": 1}}`
}

func TestBodiesThatAreRefused(t *testing.T) {
	r := start(t, nil)
	f := func(status int, reason string, header ...string) {
		t.Helper()
		got := r.call(t, "engine", "POST", "/v1/decisions", betJSON("e"), header...)
		if got.status != status || got.err.Reason != reason {
			t.Errorf("%v: got %d %s, want %d %s", header, got.status, got.body, status, reason)
		}
	}
	f(200, "", "Content-Type", "application/json; charset=utf-8")
	f(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type", "text/plain")
	f(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type", "application/x-www-form-urlencoded")
	f(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type", ";;")
	f(415, "UNSUPPORTED_ENCODING", "Content-Encoding", "gzip")
}

// TestABodyThatIsTooLargeIsToldSo sends a body from a client that, as most do, writes all of it before it reads: a
// connection that is closed meanwhile would lose the answer.
func TestABodyThatIsTooLargeIsToldSo(t *testing.T) {
	r := start(t, nil)
	f := func(name, length, body string) {
		t.Helper()
		conn, err := net.Dial("tcp", r.http.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err = conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err = io.WriteString(conn, "POST /v1/decisions HTTP/1.1\r\nHost: memory\r\nContent-Type: application/json\r\n"+
			"Authorization: Bearer "+r.keys["engine"]+"\r\n"+length+"\r\n\r\n"+body); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: no answer: %v", name, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %s", name, resp.Status)
		}
	}
	const size = 12 << 20
	body := strings.Repeat(" ", size)
	f("by its length", fmt.Sprintf("Content-Length: %d", size), body)
	f("in a chunk", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body))
}

// FuzzDecisionJSON sends a stranger's bytes through the whole HTTP side: the server answers, in JSON, and never with an
// internal error; and whatever passes means the same when it is written and read again.
func FuzzDecisionJSON(f *testing.F) {
	r := start(f, nil)
	for _, body := range []string{
		betJSON("e"), `{"event":{"attributes":{"a":{"number":"Infinity"}}}}`, `{"event":{"entities":[{"kind":"ip"}]}}`, "[[[[", `{"a":`,
		`{"event":{"occurred_at":"2026-11-22T10:00:00Z"},"options":{"deadline_ms":5}}`, "{\"event\":\n{\"brand\":\"\xc3\x28\"}}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := r.call(t, "engine", "POST", "/v1/decisions", string(body))
		switch got.status {
		case 200, 400, 403, 413:
		default:
			t.Fatalf("%q: got %d %s", body, got.status, got.body)
		}
		if !utf8.ValidString(got.body) || len(got.err.Message) > 400 || len(got.err.Path) > 600 {
			t.Fatalf("%q: a poor answer: %s", body, got.body)
		}
		if got.status != 200 {
			return
		}
		var first, second pb.DecisionRequest
		if err := protojson.Unmarshal(body, &first); err != nil {
			t.Fatalf("%q was accepted and is not JSON of the request: %v", body, err)
		}
		again, err := protojson.Marshal(&first)
		if err != nil || protojson.Unmarshal(again, &second) != nil || !proto.Equal(&first, &second) {
			t.Fatalf("%q changes its meaning when it is written again: %s, %v", body, again, err)
		}
	})
}
