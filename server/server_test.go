package server_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend stands for decide, features and registry: what it does is a test's to say, and by default it is the simplest
// thing that keeps the interfaces' contracts, tenants apart.
type backend struct {
	decide   func(context.Context, *features.Event, decide.Options) (*pb.Decision, error)
	ingest   func(context.Context, []features.IngestItem) ([]features.IngestResult, error)
	read     func(context.Context, string, string, pb.Explain) (*pb.Decision, error)
	features func([]features.EntityRef) // is told what is read
	reload   error
	push     func(context.Context, []features.Push) ([]features.PushResult, error)

	mu    sync.Mutex
	known map[string]*pb.Decision // by tenant and decision id; guarded by mu
	parts []server.Component      // guarded by mu
}

func (b *backend) Decide(ctx context.Context, ev *features.Event, opt decide.Options) (*pb.Decision, error) {
	if b.decide != nil {
		return b.decide(ctx, ev, opt)
	}
	score := .25
	d := &pb.Decision{
		DecisionId: ev.Key.String(), EventId: ev.ID, Status: pb.Status_STATUS_NEW, Outcome: pb.Outcome_OUTCOME_ALLOW, Score: &score,
		TimingsUs: &pb.Timings{Total: 7},
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[ev.Tenant+" "+d.DecisionId] = d
	return d, nil
}

func (b *backend) ReloadBundle(context.Context) (server.BundleState, error) {
	if b.reload != nil {
		return server.BundleState{}, b.reload
	}
	return server.BundleState{Name: "casino", Version: "2", Hash: "ab", State: "serving"}, nil
}

func (b *backend) Ingest(ctx context.Context, items []features.IngestItem) ([]features.IngestResult, error) {
	if b.ingest != nil {
		return b.ingest(ctx, items)
	}
	return make([]features.IngestResult, len(items)), nil
}

func (b *backend) GetDecision(ctx context.Context, tenant, id string, explain pb.Explain) (*pb.Decision, error) {
	if b.read != nil {
		return b.read(ctx, tenant, id, explain)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if d, ok := b.known[tenant+" "+id]; ok {
		return d, nil
	}
	return nil, features.ErrNoRecord
}

// ExplainDecision explains every decision that is known by two features.
func (b *backend) ExplainDecision(
	ctx context.Context, tenant, id string, method pb.ExplainMethod, background int,
) (*decide.Attribution, error) {
	if _, err := b.GetDecision(ctx, tenant, id, pb.Explain_EXPLAIN_TOP); err != nil {
		return nil, err
	}
	a := &decide.Attribution{
		Base: -2, Margin: 1, Features: []string{"a", "b"}, Values: []float64{7, math.NaN()}, Contributions: []float64{-1, 4}, Background: background,
	}
	if method == pb.ExplainMethod_EXPLAIN_METHOD_INTERACTIONS {
		a.Interactions = []float64{-2, 1, 1, 3}
	}
	return a, nil
}

func (b *backend) FeatureSet() (*features.Set, error) {
	return &features.Set{Name: "test", Version: "1", Features: []features.FeatureInfo{
		{Name: "bets_1m", Kind: "player", Group: "bets"}, {Name: "since_deposit_s", Kind: "player"}, {Name: "ip_logins_1h", Kind: "ip24"},
	}}, nil
}

func (b *backend) Push(ctx context.Context, items []features.Push) ([]features.PushResult, error) {
	if b.push != nil {
		return b.push(ctx, items)
	}
	return make([]features.PushResult, len(items)), nil
}

func (b *backend) Features(_ context.Context, _ *features.Set, refs []features.EntityRef, at int64, vec *features.Vector) error {
	if b.features != nil {
		b.features(refs)
	}
	vec.At = at
	vec.Values = []float64{3, math.NaN(), 9}
	vec.Status = []features.Status{features.Present, features.Missing, features.Present}
	vec.Pins = vec.Pins[:0]
	for i := range refs {
		vec.Pins = append(vec.Pins, features.Pin{Entity: i, Pos: journal.Pos{Offset: 12}, Newest: at - 1_500_000})
	}
	return nil
}

func (b *backend) Explain(ctx context.Context, set *features.Set, ref features.EntityRef, at int64, vec *features.Vector) ([]features.Explanation, error) {
	x := features.Explanation{From: at - 60e6, To: at}
	for i := range int64(30) {
		x.Tiles = append(x.Tiles, features.ExplainedTile{From: i, To: i + 1, Count: i})
		x.Events = append(x.Events, features.ExplainedEvent{At: i, Key: [4]byte{1, 2, 3, byte(i)}})
	}
	return []features.Explanation{x}, b.Features(ctx, set, []features.EntityRef{ref}, at, vec)
}

func (b *backend) Components() []server.Component {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parts != nil {
		return b.parts
	}
	return []server.Component{{Name: "journal", Ready: true, Needed: true}}
}

// running is a server that serves in memory.
type running struct {
	server  *server.Server
	backend *backend
	keys    map[string]string // by principal's name
	edge    *edge.Edge
	metrics *prometheus.Registry
	log     *syncBuffer

	http net.Listener
	stop context.CancelFunc
	done chan error
	conn *grpc.ClientConn
	web  *http.Client
}

// syncBuffer is a log that a test can read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func testConfig(tb testing.TB) (server.Config, map[string]string) {
	tb.Helper()
	cfg, keys := server.DefaultConfig(), map[string]string{}
	cfg.Deadlines.DrainWait = 0
	for id, k := range map[string]struct {
		tenant string
		roles  []string
	}{
		"engine": {"casino", []string{"engine"}}, "producer": {"casino", []string{"producer"}},
		"analyst": {"casino", []string{"analyst"}}, "operator": {"casino", []string{"operator"}},
		"reader": {"casino", []string{"reader"}}, "pusher": {"casino", []string{"pusher"}},
		"admin": {"casino", []string{"admin"}}, "other": {"other", []string{"admin"}},
	} {
		text, entry, err := server.NewKey(id, k.tenant, id, k.roles...)
		if err != nil {
			tb.Fatal(err)
		}
		keys[id] = text
		cfg.Keys = append(cfg.Keys, entry)
	}
	return cfg, keys
}

func testEdge(tb testing.TB) (*edge.Edge, *features.Kinds) {
	tb.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := edge.NewKeys("casino", "other")
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := edge.ParseKeys(data, "keys")
	if err != nil {
		tb.Fatal(err)
	}
	e, err := edge.New(edge.Config{Kinds: kinds, Keys: keys, Tenants: map[string]edge.TenantConfig{"casino": {}, "other": {}}})
	if err != nil {
		tb.Fatal(err)
	}
	return e, kinds
}

// start serves until the test ends, before a backend of the test's.
func start(tb testing.TB, change func(*server.Config)) *running {
	tb.Helper()
	cfg, keys := testConfig(tb)
	if change != nil {
		change(&cfg)
	}
	e, kinds := testEdge(tb)
	b, log := &backend{known: map[string]*pb.Decision{}}, &syncBuffer{}
	r := serve(tb, cfg, keys, server.Deps{
		Edge: e, Kinds: kinds, Decider: b, Ingester: b, Decisions: b, Features: b, Pusher: b, Reloader: b, Readiness: b, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	r.backend, r.log = b, log
	return r
}

// serve serves until the test ends.
func serve(tb testing.TB, cfg server.Config, keys map[string]string, deps server.Deps) *running {
	tb.Helper()
	r := &running{keys: keys, edge: deps.Edge, metrics: deps.Metrics, done: make(chan error, 1)}
	// bufconn is not for net/http, which sets deadlines in the past to wake its readers: bufconn's may fire after they
	// were taken back.
	var err error
	if r.http, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	grpcListener := bufconn.Listen(1 << 20)
	if r.server, err = server.New(cfg, deps); err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(tb.Context())
	r.stop = stop
	go func() { r.done <- r.server.Serve(ctx, server.Listeners{HTTP: r.http, GRPC: grpcListener}) }()
	r.conn, err = grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return grpcListener.DialContext(ctx) }))
	if err != nil {
		tb.Fatal(err)
	}
	transport := r.transport()
	r.web = &http.Client{Transport: transport}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := r.conn.Close(); err != nil {
			tb.Errorf("cannot close the gRPC client: %v", err)
		}
		r.shutdown(tb)
	})
	return r
}

// transport gives a client's side of HTTP with connections of its own.
func (r *running) transport() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", r.http.Addr().String())
	}}
}

// shutdown stops the server and waits for it. It may be called twice.
func (r *running) shutdown(tb testing.TB) {
	tb.Helper()
	r.stop()
	select {
	case err, ok := <-r.done:
		if ok && err != nil {
			tb.Errorf("Serve: %v", err)
		}
		if ok {
			close(r.done)
		}
	case <-time.After(20 * time.Second):
		tb.Fatal("the server does not stop")
	}
}

// as gives a context that calls as a principal.
func (r *running) as(ctx context.Context, name string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+r.keys[name])
}

// answer is an answer over HTTP.
type answer struct {
	status int
	header http.Header
	body   string
	err    errorBody
}

// errorBody is an error as callers read it.
type errorBody struct {
	Code      string `json:"code"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Path      string `json:"path"`
	RequestID string `json:"request_id"`
}

// call sends a request as a principal; "" is nobody.
func (r *running) call(tb testing.TB, as, method, path, body string, header ...string) answer {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, "http://memory"+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if as != "" {
		req.Header.Set("Authorization", "Bearer "+r.keys[as])
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.web.Do(req)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(data)}
	if resp.StatusCode >= 400 && path != "/readyz" {
		err := json.Unmarshal(data, &a.err)
		if err != nil || a.err.Code == "" || a.err.Reason == "" || a.err.Message == "" ||
			a.err.RequestID != resp.Header.Get("X-Request-ID") {
			tb.Errorf("%s %s: %d with a poor error: %s", method, path, resp.StatusCode, data)
		}
	}
	return a
}

// bet is a bet as an engine sends it, now.
func bet(id string) *pb.Event {
	return &pb.Event{
		EventId: id, Type: "bet.placed", Tenant: "casino", OccurredAt: timestamppb.Now(),
		Entities: []*pb.Identifier{{Kind: "player", Value: "jane", Form: pb.Form_FORM_RAW}},
		Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: 100, Currency: "EUR"}}},
	}
}

// betJSON is the same as JSON, in a request for a decision.
func betJSON(id string) string {
	return `{"event": ` + eventJSON(id) + `}`
}

func eventJSON(id string) string {
	return `{"event_id": "` + id + `", "type": "bet.placed", "tenant": "casino", "occurred_at": "` +
		time.Now().UTC().Format(time.RFC3339Nano) + `",
	"entities": [{"kind": "player", "value": "jane", "form": "FORM_RAW"}],
	"bet_placed": {"amount": {"amount_minor": 100, "currency": "EUR"}}}`
}

// count gives a metric's value, summed over the labels that are not named.
func (r *running) count(tb testing.TB, name string, labels ...string) float64 {
	tb.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, m := range family.GetMetric() {
			for i := 0; i < len(labels); i += 2 {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				if !found {
					continue metrics
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func TestDecideOverBothTransports(t *testing.T) {
	r := start(t, nil)
	got := r.call(t, "engine", "POST", "/v1/decisions", betJSON("e-1"))
	want := features.MakeEventKey("casino", "e-1").String()
	if got.status != http.StatusOK || !strings.Contains(got.body, `"decision_id":"`+want+`"`) || !strings.Contains(got.body, `"score":0.25`) {
		t.Errorf("decision: got %d %s", got.status, got.body)
	}
	if strings.Contains(got.body, ": ") || got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Request-ID") == "" {
		t.Errorf("an answer with loose white space or poor headers: %s %v", got.body, got.header)
	}
	d, err := pb.NewDecisionServiceClient(r.conn).Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{Event: bet("e-2")})
	if err != nil || d.GetDecisionId() != features.MakeEventKey("casino", "e-2").String() {
		t.Fatalf("decision: got %v, %v", d, err)
	}
	for _, id := range []string{want, d.GetDecisionId()} {
		again := r.call(t, "analyst", "GET", "/v1/decisions/"+id+"?explain=full", "")
		if again.status != http.StatusOK || !strings.Contains(again.body, id) {
			t.Errorf("GET: got %d %s", again.status, again.body)
		}
		byRPC, err := pb.NewDecisionServiceClient(r.conn).GetDecision(r.as(t.Context(), "analyst"), &pb.GetDecisionRequest{DecisionId: id})
		if err != nil || byRPC.GetDecisionId() != id {
			t.Errorf("GetDecision: got %v, %v", byRPC, err)
		}
	}
	if n := r.count(t, "pitboss_decide_decisions_total", "outcome", "allow", "status", "new"); n != 2 {
		t.Errorf("decisions counted: got %v, want 2", n)
	}
	if n := r.count(t, "pitboss_server_requests_total", "route", "decide", "code", "OK"); n != 2 {
		t.Errorf("requests counted: got %v, want 2", n)
	}
}

func TestRawIdentifiersEndAtTheServer(t *testing.T) {
	r := start(t, nil)
	var stored *pb.Event
	r.backend.decide = func(_ context.Context, ev *features.Event, _ decide.Options) (*pb.Decision, error) {
		stored = ev.Msg
		return &pb.Decision{}, nil
	}
	r.call(t, "engine", "POST", "/v1/decisions", betJSON("e-1"))
	data, err := proto.Marshal(stored)
	if err != nil || strings.Contains(string(data), "jane") || len(data) == 0 {
		t.Errorf("what is decided about holds the raw player: %q, %v", data, err)
	}
}

func TestDeadlinesAreTheSoonest(t *testing.T) {
	r := start(t, func(cfg *server.Config) { cfg.Deadlines.Decide = 20 * time.Millisecond })
	var left, ctxLeft time.Duration
	var options decide.Options
	r.backend.decide = func(ctx context.Context, _ *features.Event, opt decide.Options) (*pb.Decision, error) {
		options, left = opt, time.Until(opt.Deadline)
		if at, ok := ctx.Deadline(); ok {
			ctxLeft = time.Until(at)
		}
		return &pb.Decision{}, nil
	}
	f := func(body string, most time.Duration) {
		t.Helper()
		if got := r.call(t, "engine", "POST", "/v1/decisions", body); got.status != http.StatusOK {
			t.Fatalf("%s: got %d %s", body, got.status, got.body)
		}
		// A slow machine may have used some of it, so only the upper side is exact.
		if left > most || left < most-19*time.Millisecond {
			t.Errorf("%s: %s left; want about %s", body, left, most)
		}
	}
	f(betJSON("e-1"), 20*time.Millisecond)
	with := func(options string) string {
		return strings.TrimSuffix(betJSON("e-1"), "}") + `, "options": ` + options + `}`
	}
	f(with(`{"deadline_ms": 50}`), 50*time.Millisecond)
	f(with(`{"deadline_ms": 5, "dry_run": true, "explain": "EXPLAIN_FULL"}`), 5*time.Millisecond)
	if !options.DryRun || options.Explain != pb.Explain_EXPLAIN_FULL {
		t.Errorf("options were lost: %+v", options)
	}
	ctx, cancel := context.WithTimeout(r.as(t.Context(), "engine"), 5*time.Second)
	defer cancel()
	short, stop := context.WithTimeout(ctx, 15*time.Millisecond)
	defer stop()
	// The client's own deadline may end the call before its answer comes: what counts is what the decider was told.
	_, _ = pb.NewDecisionServiceClient(r.conn).Decide(short, &pb.DecisionRequest{Event: bet("e-3"), Options: &pb.DecisionOptions{DeadlineMs: 50}})
	r.shutdown(t)
	if ctxLeft > 15*time.Millisecond {
		t.Errorf("a gRPC deadline of 15ms was taken for %s", ctxLeft)
	}
}

func TestPublishTellsTheFateOfEachEvent(t *testing.T) {
	r := start(t, nil)
	r.backend.ingest = func(_ context.Context, items []features.IngestItem) ([]features.IngestResult, error) {
		results := make([]features.IngestResult, len(items))
		for i, item := range items {
			switch item.Event.ID {
			case "twice":
				results[i].Duplicate = true
			case "other-content":
				results[i].Err = features.ErrConflict
			case "full":
				results[i].Err = features.ErrNotWritten
			}
		}
		return results, nil
	}
	bad := bet("bad")
	bad.GetBetPlaced().Amount.Currency = "EURO"
	req := &pb.PublishRequest{Events: []*pb.Event{bet("new"), bet("twice"), bad, bet("other-content"), bet("full"), nil}}
	got, err := pb.NewEventServiceClient(r.conn).Publish(r.as(t.Context(), "producer"), req)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"new ACCEPTED", "twice DUPLICATE", "bad REJECTED UNKNOWN_CURRENCY events[2].bet_placed.amount.currency",
		"other-content REJECTED CONFLICT events[3]", "full UNAVAILABLE NOT_WRITTEN events[4]",
		" REJECTED MISSING_FIELD events[5].type",
	}
	if len(got.GetResults()) != len(want) {
		t.Fatalf("got %d results, want %d", len(got.GetResults()), len(want))
	}
	for i, res := range got.GetResults() {
		text := res.GetEventId() + " " + strings.TrimPrefix(res.GetStatus().String(), "PUBLISH_STATUS_")
		if e := res.GetError(); e != nil {
			text += " " + e.GetReason() + " " + e.GetPath()
		}
		if text != want[i] {
			t.Errorf("event %d: got %q, want %q", i, text, want[i])
		}
	}
	if n := r.count(t, "pitboss_server_published_events_total", "status", "rejected"); n != 3 {
		t.Errorf("rejected counted: got %v, want 3", n)
	}
	if n := r.count(t, "pitboss_edge_rejected_events_total", "reason", "UNKNOWN_CURRENCY"); n != 1 {
		t.Errorf("reasons counted: got %v, want 1", n)
	}
	web := r.call(t, "producer", "POST", "/v1/events", `{"events": [`+eventJSON("new")+`,`+eventJSON("twice")+`]}`)
	if web.status != http.StatusOK || !strings.Contains(web.body, "PUBLISH_STATUS_DUPLICATE") {
		t.Errorf("JSON: got %d %s", web.status, web.body)
	}
	none := r.call(t, "producer", "POST", "/v1/events", `{"events": []}`)
	if none.status != http.StatusBadRequest || none.err.Path != "events" {
		t.Errorf("an empty batch: got %d %s", none.status, none.body)
	}
	many := r.call(t, "producer", "POST", "/v1/events", `{"events": [`+strings.Repeat(`{},`, 1000)+`{}]}`)
	if many.status != http.StatusBadRequest || many.err.Path != "events" {
		t.Errorf("1001 events: got %d %s", many.status, many.body)
	}
}

func TestEntityFeatures(t *testing.T) {
	r := start(t, nil)
	get := func(query string) answer { return r.call(t, "analyst", "GET", "/v1/entities/"+query, "") }
	stored, err := r.edge.Alias("casino", "", &pb.Identifier{Kind: "player", Value: "jane/1", Form: pb.Form_FORM_RAW})
	if err != nil {
		t.Fatal(err)
	}
	var seen features.EntityRef
	r.backend.features = func(refs []features.EntityRef) { seen = refs[0] }
	for _, query := range []string{"player/jane%2F1/features?form=raw", "player/" + stored.GetValue() + "/features?form=alias&tenant=casino"} {
		got := get(query)
		if got.status != http.StatusOK || seen.Alias != stored.GetValue() {
			t.Fatalf("%s: got %d %s, entity %+v", query, got.status, got.body, seen)
		}
		if !strings.Contains(got.body, `"features":[{"name":"bets_1m","value":3,"status":"present"},{"name":"since_deposit_s","status":"missing"}]`) ||
			!strings.Contains(got.body, `"position":"0/12"`) || strings.Contains(got.body, "jane") {
			t.Errorf("%s: got %s", query, got.body)
		}
	}
	f := func(query string, status int, path string) {
		t.Helper()
		if got := get(query); got.status != status || got.err.Path != path {
			t.Errorf("%s: got %d %s, want %d at %q", query, got.status, got.body, status, path)
		}
	}
	f("player/jane/features", 400, "form")
	f("player/jane/features?form=guess", 400, "form")
	f("player/jane/features?form=raw&form=alias", 400, "")
	f("player/jane/features?form=raw&other=1", 400, "")
	f("player/jane/features?form=raw&at=yesterday", 400, "at")
	f("player/jane/features?form=raw&at=2999-01-01T00:00:00Z", 400, "at")
	f("player/jane/features?form=raw&at=2026-11-01T00:00:00Z", 200, "")
	f("player/jane/features?form=raw&tenant=other", 403, "tenant")
	f("sofa/jane/features?form=raw", 400, "entity.kind")
	f("ip/jane/features?form=raw", 400, "entity.value")
	f("player/a%00b/features?form=raw", 400, "entity.value")
}

func TestExplainFeatures(t *testing.T) {
	r := start(t, nil)
	get := func(query string) answer {
		return r.call(t, "analyst", "GET", "/v1/entities/player/jane/features:explain"+query, "")
	}
	f := func(query string, tiles int, newest string) {
		t.Helper()
		got := get(query)
		x := &pb.ExplainEntityFeaturesResponse{}
		if err := protojson.Unmarshal([]byte(got.body), x); err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: got %d %s: %v", query, got.status, got.body, err)
		}
		one := x.GetFeatures()[0]
		if len(one.GetTiles()) != tiles || len(one.GetEvents()) != tiles || one.GetAllTiles() != 30 || one.GetAllEvents() != 30 ||
			one.GetEvents()[0].GetDecisionIdPrefix() != newest || one.GetValue() != 3 || one.GetGroup() != "bets" || x.GetPosition() != "0/12" {
			t.Errorf("%s: got %s, want the newest %d of 30, the first %s", query, got.body, tiles, newest)
		}
		if strings.Contains(got.body, "jane") {
			t.Errorf("%s: the raw identifier is in %s", query, got.body)
		}
	}
	f("?form=raw", 20, "0102031d")
	f("?form=raw&newest=3", 3, "0102031d")
	f("?form=raw&newest=10000&features=bets_1m", 30, "0102031d")
	for query, path := range map[string]string{
		"": "form", "?form=raw&newest=10001": "newest", "?form=raw&newest=-1": "newest", "?form=raw&at=x": "at", "?form=raw&explain=1": "",
	} {
		if got := get(query); got.status != http.StatusBadRequest || got.err.Path != path {
			t.Errorf("%q: got %d %s, want 400 at %q", query, got.status, got.body, path)
		}
	}
	if got := get("?form=raw&features=bets_1m,ip_logins_1h"); got.status != http.StatusNotFound || got.err.Path != "features[1]" {
		t.Errorf("a feature of another kind: got %d %s", got.status, got.body)
	}
	if got := get("?form=raw&tenant=other"); got.status != http.StatusForbidden {
		t.Errorf("another tenant: got %d %s", got.status, got.body)
	}
	if got := r.call(t, "reader", "GET", "/v1/entities/player/jane/features:explain?form=raw", ""); got.status != http.StatusForbidden {
		t.Errorf("a reader, who may read values: got %d %s", got.status, got.body)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	r := start(t, nil)
	parts := func(list ...server.Component) {
		r.backend.mu.Lock()
		defer r.backend.mu.Unlock()
		r.backend.parts = list
	}
	parts(server.Component{Name: "journal", Ready: true, Needed: true},
		server.Component{Name: "kafka", Ready: false, Detail: "cannot reach the brokers"})
	if got := r.call(t, "", "GET", "/healthz", ""); got.status != 200 || got.body != `{"status":"ok"}`+"\n" {
		t.Errorf("healthz: got %d %s", got.status, got.body)
	}
	got := r.call(t, "", "GET", "/readyz", "")
	if got.status != 200 || !strings.Contains(got.body, `"name":"kafka","ready":false,"needed":false,"detail":"cannot reach the brokers"`) {
		t.Errorf("readyz without Kafka: got %d %s", got.status, got.body)
	}
	parts(server.Component{Name: "journal", Needed: true, Detail: "read-only disk"})
	if got := r.call(t, "", "GET", "/readyz", ""); got.status != 503 || !strings.Contains(got.body, "read-only disk") {
		t.Errorf("readyz without a journal: got %d %s", got.status, got.body)
	}
}

func TestMetricsAreWellNamedAndBounded(t *testing.T) {
	r := start(t, nil)
	r.backend.decide = func(context.Context, *features.Event, decide.Options) (*pb.Decision, error) {
		ages := []*pb.EntityAge{{Kind: "player", AgeMs: new(int64(90_000))}, {Kind: "ip"}}
		return &pb.Decision{Degraded: []*pb.Degraded{{Stage: "surprise", Cause: "made up"}}, Outcome: 99, Status: 99, EntityAges: ages}, nil
	}
	r.call(t, "engine", "POST", "/v1/decisions", betJSON("e"))
	r.call(t, "engine", "POST", "/v1/nothing/here", "")
	r.call(t, "", "POST", "/v1/decisions", "")
	families, err := r.metrics.Gather()
	if err != nil || len(families) == 0 {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "pitboss_") || len(family.GetHelp()) < 40 {
			t.Errorf("%s: %q", family.GetName(), family.GetHelp())
		}
	}
	if n := r.count(t, "pitboss_decide_degraded_total", "stage", "other", "cause", "other"); n != 1 {
		t.Errorf("a stage that nobody knows: got %v, want 1 of other", n)
	}
	if n := r.count(t, "pitboss_server_requests_total", "route", "none", "code", "NOT_FOUND"); n != 1 {
		t.Errorf("a route that does not exist: got %v, want 1 of none", n)
	}
	if got := r.call(t, "operator", "GET", "/metrics", ""); got.status != 200 || !strings.Contains(got.body, "pitboss_server_panics_total 0") ||
		!strings.Contains(got.body, `pitboss_decide_entity_age_seconds_sum{kind="player"} 90`) ||
		strings.Contains(got.body, `pitboss_decide_entity_age_seconds_sum{kind="ip"}`) {
		t.Errorf("/metrics: got %d %s", got.status, got.body)
	}
}
