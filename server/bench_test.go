package server_test

import (
	"context"
	"fmt"
	"testing"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// BenchmarkDecide is the server's own share of a decision, the client's included: what is behind it answers at once.
func BenchmarkDecide(b *testing.B) {
	r := start(b, nil)
	answer := &pb.Decision{DecisionId: "0123456789abcdef0123456789abcdef", Outcome: pb.Outcome_OUTCOME_ALLOW, TimingsUs: &pb.Timings{Total: 5}}
	r.backend.decide = func(context.Context, *features.Event, decide.Options) (*pb.Decision, error) { return answer, nil }
	b.Run("grpc", func(b *testing.B) {
		decisions, ctx, msg := pb.NewDecisionServiceClient(r.conn), r.as(b.Context(), "engine"), bet("e")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decisions.Decide(ctx, &pb.DecisionRequest{Event: msg}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		body := betJSON("e")
		b.ReportAllocs()
		for b.Loop() {
			if got := r.call(b, "engine", "POST", "/v1/decisions", body); got.status != 200 {
				b.Fatal(got.body)
			}
		}
	})
}

// BenchmarkPublish is a batch of 100 events by gRPC, without what applies them.
func BenchmarkPublish(b *testing.B) {
	r := start(b, nil)
	req := &pb.PublishRequest{}
	for i := range 100 {
		req.Events = append(req.Events, bet(fmt.Sprint(i)))
	}
	events, ctx := pb.NewEventServiceClient(r.conn), r.as(b.Context(), "producer")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.Publish(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "events/s")
}
