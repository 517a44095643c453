package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

// running is a server in this process.
type running struct {
	service *service
	http    string
	conn    *grpc.ClientConn
	key     string
	stop    func() error // as SIGTERM does, and waits for its end
}

func serve(t *testing.T, h house) *running {
	t.Helper()
	return serveWith(t, h, appOptions{})
}

func serveWith(t *testing.T, h house, opt appOptions) *running {
	t.Helper()
	cfg, err := LoadConfig(h.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a, err := openApp(ctx, cfg, newLogger(LogConfig{Level: "error"}, io.Discard), opt)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	s, err := newService(a)
	if err != nil {
		cancel()
		t.Fatal(errors.Join(err, a.close()))
	}
	var group errgroup.Group
	listening := make(chan server.Listeners, 1)
	group.Go(func() error {
		defer close(listening)
		return s.run(ctx, func(l server.Listeners) { listening <- l })
	})
	l, ok := <-listening
	if !ok {
		cancel()
		t.Fatal(errors.Join(group.Wait(), a.close()))
	}
	conn, err := dial(l.GRPC.Addr().String(), h.key)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{service: s, http: "http://" + l.HTTP.Addr().String(), conn: conn, key: h.key}
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := errors.Join(group.Wait(), a.close(), conn.Close())
		http.DefaultClient.CloseIdleConnections()
		return err
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// post asks for a decision as curl does.
func (r *running) post(t *testing.T, body string) (int, []byte) {
	t.Helper()
	return r.do(t, http.MethodPost, "/v1/decisions", body)
}

func (r *running) do(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	code, data, err := call(t.Context(), method, r.http+path, r.key, body)
	if err != nil {
		t.Fatal(err)
	}
	return code, data
}

func call(ctx context.Context, method, url, key, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

// bet is an event as JSON.
func bet(id string, minor int) string {
	return fmt.Sprintf(`{"event": {"event_id": %q, "type": "bet.placed", "tenant": "demo", "occurred_at": %q,
		"entities": [{"kind": "player", "value": "me", "form": "FORM_RAW"}, {"kind": "ip", "value": "203.0.113.7", "form": "FORM_RAW"}],
		"bet_placed": {"amount": {"amount_minor": "%d", "currency": "EUR"}}}, "options": {"deadline_ms": 50}}`,
		id, time.Now().UTC().Format(time.RFC3339), minor)
}

// decided asks until the answer is not cut short by a deadline of 50 ms, which a busy machine may miss: a decision is
// taken once, so each try is another event.
func decided(t *testing.T, r *running, id string) (body string, d *pb.Decision) {
	t.Helper()
	for try := range 20 {
		body = bet(fmt.Sprint(id, "-", try), 250)
		code, data := r.post(t, body)
		d = &pb.Decision{}
		if code != http.StatusOK {
			t.Fatalf("status %d: %s", code, data)
		}
		if err := protojson.Unmarshal(data, d); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		if len(d.GetDegraded()) == 0 {
			return body, d
		}
	}
	t.Fatalf("20 decisions in a row were degraded, the last: %v", d)
	return "", nil
}

// The same event gets the same decision over JSON, over gRPC, from the command line and after a restart.
func TestServeDecidesOnce(t *testing.T) {
	h := newHouse(t)
	r := serve(t, h)
	if code, _ := r.do(t, http.MethodGet, "/readyz", ""); code != http.StatusOK {
		t.Errorf("/readyz says %d", code)
	}
	body, first := decided(t, r, "once")
	if first.Score == nil || len(first.GetReasons()) == 0 || first.GetModel().GetName() != "casino" {
		t.Errorf("the decision has no score, no reasons or no model: %v", first)
	}
	again := func(r *running) {
		t.Helper()
		code, data := r.post(t, body)
		d := &pb.Decision{}
		if err := protojson.Unmarshal(data, d); err != nil || code != http.StatusOK {
			t.Fatalf("status %d, %v: %s", code, err, data)
		}
		if diff := cmp.Diff(first, d, sameDecision()); diff != "" || d.GetStatus() != pb.Status_STATUS_DUPLICATE {
			t.Errorf("status %v, and (-first +again):\n%s", d.GetStatus(), diff)
		}
	}
	again(r)

	var req pb.DecisionRequest
	if err := protojson.Unmarshal([]byte(body), &req); err != nil {
		t.Fatal(err)
	}
	overGRPC, err := pb.NewDecisionServiceClient(r.conn).Decide(t.Context(), &req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, overGRPC, sameDecision()); diff != "" {
		t.Errorf("gRPC gives another decision (-json +grpc):\n%s", diff)
	}

	event, err := protojson.Marshal(req.GetEvent())
	if err != nil {
		t.Fatal(err)
	}
	file := h.path("event.json")
	write(t, file, string(event))
	shown := must(t, "decide", "--event", file, "--addr", r.conn.Target(), "--key", r.key)
	if !strings.Contains(shown.out, first.GetDecisionId()) || !strings.Contains(shown.out, first.GetReasons()[0].GetCode()) {
		t.Errorf("%v, want the decision and its reasons", shown)
	}
	refused(t, exitFailed, []string{"no decision"}, "decide", "--event", file, "--addr", r.conn.Target(), "--key", "wrong")

	code, data := r.post(t, strings.Replace(body, `"250"`, `"251"`, 1))
	if code != http.StatusConflict {
		t.Errorf("another event under the same id: status %d: %s", code, data)
	}
	// Nobody else may open the data meanwhile.
	refused(t, exitFailed, []string{"locked by process", "stop the other process"}, "replay", "--config", h.config, "--all")

	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "replay", "--config", h.config, first.GetDecisionId()); !strings.Contains(out.out, "the same bytes") {
		t.Errorf("%v", out)
	}
	again(serve(t, h))
}

// Who asks while the server is told to stop gets an answer, and it is kept.
func TestServeDrains(t *testing.T) {
	h := newHouse(t)
	h.edit(t, `drain_wait: 0s`, "drain_wait: 300ms")
	r := serve(t, h)
	answers := make(chan error, 1<<16)
	asking, enough := context.WithCancel(t.Context())
	defer enough()
	var callers sync.WaitGroup
	var unsure atomic.Int64
	for w := range 4 {
		callers.Go(func() {
			for i := 0; asking.Err() == nil; i++ {
				got, err := ask(t.Context(), strings.TrimPrefix(r.http, "http://"), r.key, bet(fmt.Sprintf("drain-%d-%d", w, i), 100))
				if err == nil && got == "" {
					unsure.Add(1) // the deadline came before the disk: it may have been kept after the answer
					continue
				}
				answers <- err
				if err != nil {
					return // it is down
				}
			}
		})
	}
	for range 20 {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	enough()
	callers.Wait()
	close(answers)
	kept := 20
	for err := range answers {
		switch {
		case err == nil:
			kept++
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
			// After the drain, or on a connection that was closed while idle: nothing of it was taken, as the count below says.
		default:
			t.Errorf("a call was cut off: %v", err)
		}
	}
	out := must(t, "replay", "--config", h.config, "--all")
	var recorded int
	if _, err := fmt.Sscanf(out.out, "%d decisions", &recorded); err != nil {
		t.Fatalf("%v: %v", err, out)
	}
	if recorded < kept || recorded > kept+int(unsure.Load()) {
		t.Errorf("%d answers were kept, %d perhaps, and %v", kept, unsure.Load(), out)
	}
}

// From a simulated casino over Kafka into the windows: every player's figures are those of the events, counted by hand.
func TestFeedFromSimulatedCasino(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "pitboss.events"), kfake.SeedTopics(1, "pitboss.events.dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	brokers := broker.ListenAddrs()[0]
	h := newHouse(t)
	h.edit(t, `brokers: \[\]`, "brokers: [\""+brokers+"\"]")
	start := time.Now().Add(-8 * time.Hour).UTC().Truncate(time.Second)
	casino := []string{"--start", start.Format(time.RFC3339)}
	events := h.sim(t, 3000, casino...)
	must(t, append([]string{"sim", "--tenant", demoTenant, "--players", "150", "--duration", "6h", "--seed", "3", "--events", "3000", "--brokers", brokers}, casino...)...)

	counts, stakes, foreign, voided := map[string]float64{}, map[string]float64{}, map[string]bool{}, map[string]bool{}
	var last *timestamppb.Timestamp
	for line := range strings.Lines(read(t, events)) {
		ev := &pb.Event{}
		if err := protojson.Unmarshal([]byte(line), ev); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(ev.GetEntities(), func(e *pb.Identifier) bool { return e.GetKind() == "player" })
		last = ev.GetOccurredAt()
		switch {
		case i < 0:
		case ev.GetType() == "bet.placed":
			player := ev.GetEntities()[i].GetValue()
			counts[player]++
			stakes[player] += float64(ev.GetBetPlaced().GetAmount().GetAmountMinor())
			foreign[player] = foreign[player] || ev.GetBetPlaced().GetAmount().GetCurrency() != "EUR"
		case ev.GetType() == "bet.rolled_back":
			voided[ev.GetEntities()[i].GetValue()] = true
		}
	}

	r := serve(t, h)
	await(t, "all events to be applied", func() bool { return r.service.feed.Stats().Records >= 3000 })
	if s := r.service.feed.Stats(); s.Applied != 3000 || s.Dead != 0 {
		t.Fatalf("of 3000 records %d were applied, %d are dead letters", s.Applied, s.Dead)
	}
	compared, summed := 0, 0
	for player, count := range counts {
		got, err := pb.NewFeatureServiceClient(r.conn).GetEntityFeatures(t.Context(), &pb.GetEntityFeaturesRequest{
			Tenant: demoTenant, At: last, Entity: &pb.Identifier{Kind: "player", Value: player, Form: pb.Form_FORM_RAW},
		})
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, f := range got.GetFeatures() {
			if f.Value != nil {
				values[f.GetName()] = f.GetValue()
			}
		}
		if voided[player] {
			continue
		}
		compared++
		if values["bets_24h"] != count {
			t.Errorf("player %s: bets_24h is %v, counted %v", player, values["bets_24h"], count)
		}
		if foreign[player] {
			continue // the sum is in another currency than the bets
		}
		summed++
		if values["stake_24h"] != stakes[player] {
			t.Errorf("player %s: stake_24h is %v, counted %v", player, values["stake_24h"], stakes[player])
		}
	}
	if compared < 2 || summed == 0 {
		t.Errorf("of %d players %d could be compared, and the stakes of %d", len(counts), compared, summed)
	}
}

// await waits for something that another goroutine does.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

// The demo shows decisions with their reasons, its curl line works while it runs, and what it keeps replays.
func TestDemo(t *testing.T) {
	dir := t.TempDir() + "/demo"
	out := &curler{t: t}
	var errOut bytes.Buffer
	code := run(t.Context(), []string{"demo", "--events", "3000", "--rate", "3000", "--players", "300", "--dir", dir}, out, &errOut)
	http.DefaultClient.CloseIdleConnections()
	text := out.text.String()
	if code != exitOK {
		t.Fatalf("exit code %d: %s\n%s", code, errOut.String(), text)
	}
	for _, want := range []string{"everything you see is simulated", "bet.placed", "reasons", "3000 events", " 0 failed", "pitboss replay --config " + dir} {
		if !strings.Contains(text, want) {
			t.Errorf("the demo does not say %q:\n%s", want, text)
		}
	}
	if out.answer == nil || out.answer.GetEventId() != "my-first" || out.answer.GetDecisionId() == "" {
		t.Errorf("the curl line was answered with %v", out.answer)
	}
	r := must(t, "replay", "--config", dir+"/pitboss.yaml", "--all")
	if !strings.Contains(r.out, "0 different, 0 could not be made again") || strings.HasPrefix(r.out, "0 decisions") {
		t.Errorf("%v", r)
	}
	refused(t, exitFailed, []string{"demo"}, "demo", "--dir", dir)
}

// curler does what the demo's curl line says as soon as it is printed.
type curler struct {
	t      *testing.T
	text   bytes.Buffer
	answer *pb.Decision
}

func (c *curler) Write(p []byte) (int, error) {
	c.text.Write(p)
	words := string(p)
	_, rest, found := strings.Cut(words, "curl -s ")
	if !found || c.answer != nil {
		return len(p), nil
	}
	url, _, _ := strings.Cut(rest, " ")
	_, key, _ := strings.Cut(rest, "Bearer ")
	key, _, _ = strings.Cut(key, "'")
	_, body, _ := strings.Cut(rest, "-d '")
	body, _, _ = strings.Cut(body, "'")
	code, data, err := call(c.t.Context(), http.MethodPost, url, key, body)
	if err != nil || code != http.StatusOK {
		c.t.Errorf("the curl line got status %d, %v: %s", code, err, data)
		return len(p), nil
	}
	c.answer = &pb.Decision{}
	if err := protojson.Unmarshal(data, c.answer); err != nil {
		c.t.Error(err)
	}
	return len(p), nil
}
