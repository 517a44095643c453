package server_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
	"pitboss/server"
)

// realBackend is the true thing in memory: engine, registry with a small bundle, decider.
func realBackend(tb testing.TB) server.Deps {
	tb.Helper()
	e, kinds := testEdge(tb)
	reg, err := registry.Open(registry.Config{Kinds: kinds})
	if err != nil {
		tb.Fatal(err)
	}
	bundle, err := reg.Use("../registry/testdata/tiny")
	if err != nil {
		tb.Fatal(err)
	}
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = kinds
	engine, err := features.OpenEngine(tb.Context(), cfg, journal.NewMemory(journal.MemoryConfig{}), states.NewMemory(), bundle.Set)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if failed := engine.Close(); failed != nil {
			tb.Errorf("cannot close the engine: %v", failed)
		}
	})
	decider, err := decide.New(decide.Config{Engine: engine, Registry: reg, Build: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	store := server.Store{Engine: engine, Registry: reg, Kinds: kinds}
	return server.Deps{
		Edge: e, Kinds: kinds, Decider: decider, Ingester: engine, Decisions: store, Features: store, Pusher: engine, Reloader: &backend{}, Readiness: &backend{},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}
}

// TestTheWholeWay decides through both transports on the real engine and reads everything back, for two tenants whose
// events and players have the same names.
func TestTheWholeWay(t *testing.T) {
	cfg, keys := testConfig(t)
	deps := realBackend(t)
	r := serve(t, cfg, keys, deps)
	decisions := pb.NewDecisionServiceClient(r.conn)
	engine, other := r.as(t.Context(), "admin"), r.as(t.Context(), "other")

	// Three bets by batch, then one decision: it sees all four.
	batch := &pb.PublishRequest{Events: []*pb.Event{bet("b-1"), bet("b-2"), bet("b-3")}}
	first, err := pb.NewEventServiceClient(r.conn).Publish(engine, proto.CloneOf(batch))
	if err != nil {
		t.Fatal(err)
	}
	again, err := pb.NewEventServiceClient(r.conn).Publish(engine, proto.CloneOf(batch))
	if err != nil {
		t.Fatal(err)
	}
	for i := range batch.Events {
		if first.Results[i].Status != pb.PublishStatus_PUBLISH_STATUS_ACCEPTED || again.Results[i].Status != pb.PublishStatus_PUBLISH_STATUS_DUPLICATE {
			t.Errorf("event %d: got %v, then %v", i, first.Results[i], again.Results[i])
		}
	}
	msg := bet("d-1")
	d, err := decisions.Decide(engine, &pb.DecisionRequest{
		Event: proto.CloneOf(msg), Options: &pb.DecisionOptions{Explain: pb.Explain_EXPLAIN_FULL, DeadlineMs: 50},
	})
	if err != nil || d.Status != pb.Status_STATUS_NEW || d.Outcome == pb.Outcome_OUTCOME_UNSPECIFIED {
		t.Fatalf("decision: got %v, %v", d, err)
	}
	if len(d.Degraded) == 0 { // a very slow machine may have had to leave something out
		if d.Score == nil || len(d.Reasons) == 0 || len(d.Features) != 11 || d.Features[1].GetValue() != 4 {
			t.Errorf("decision: got %v", d)
		}
	}

	// The same event is the same decision, by JSON too; other content under its id is not accepted.
	same, err := decisions.Decide(engine, &pb.DecisionRequest{Event: proto.CloneOf(msg)})
	if err != nil || same.Status != pb.Status_STATUS_DUPLICATE || same.DecisionId != d.DecisionId || same.Outcome != d.Outcome {
		t.Errorf("the same event: got %v, %v", same, err)
	}
	changed := proto.CloneOf(msg)
	changed.GetBetPlaced().Amount.AmountMinor++
	_, err = decisions.Decide(engine, &pb.DecisionRequest{Event: changed})
	if status.Code(err) != codes.AlreadyExists {
		t.Errorf("other content: got %v", err)
	}
	if got := r.call(t, "admin", "POST", "/v1/decisions", betJSON("d-1")); got.status != 409 || got.err.Reason != "CONFLICT" {
		t.Errorf("other content by JSON: got %d %s", got.status, got.body)
	}
	stored, err := decisions.GetDecision(engine, &pb.GetDecisionRequest{DecisionId: d.DecisionId, Explain: pb.Explain_EXPLAIN_FULL})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, stored, protocmp.Transform(), protocmp.IgnoreFields(&pb.Decision{}, "timings_us", "status")); diff != "" {
		t.Errorf("the stored decision (-given +stored):\n%s", diff)
	}
	bare, err := decisions.GetDecision(engine, &pb.GetDecisionRequest{DecisionId: d.DecisionId, Explain: pb.Explain_EXPLAIN_NONE})
	if err != nil || len(bare.Reasons) != 0 || len(bare.Features) != 0 || bare.Outcome != d.Outcome {
		t.Errorf("without explanation: got %v, %v", bare, err)
	}

	f := func(as, want string) {
		t.Helper()
		got := r.call(t, as, "GET", "/v1/entities/player/jane/features?form=raw", "")
		if got.status != 200 || !strings.Contains(got.body, `{"name":"bets_1h",`+want) || strings.Contains(got.body, "device_bets") {
			t.Errorf("features as %s: got %d %s", as, got.status, got.body)
		}
	}
	f("admin", `"value":4,`)
	f("other", `"value":0,`)

	// The other tenant's event of the same id, about a player of the same name, knows nothing of all this.
	theirs := proto.CloneOf(msg)
	theirs.Tenant = "other"
	od, err := decisions.Decide(other, &pb.DecisionRequest{Event: theirs, Options: &pb.DecisionOptions{Explain: pb.Explain_EXPLAIN_FULL}})
	if err != nil || od.Status != pb.Status_STATUS_NEW || od.DecisionId == d.DecisionId {
		t.Fatalf("the other tenant's decision: got %v, %v", od, err)
	}
	if len(od.Degraded) == 0 && od.Features[1].GetValue() != 1 {
		t.Errorf("the other tenant sees our bets: %v", od.Features[1])
	}
	_, err = decisions.GetDecision(other, &pb.GetDecisionRequest{DecisionId: d.DecisionId})
	if status.Code(err) != codes.NotFound {
		t.Errorf("the other tenant reads our decision: %v", err)
	}
	f("other", `"value":1,`)
	f("admin", `"value":4,`)
}
