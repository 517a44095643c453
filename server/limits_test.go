package server_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

// The limits are the calls', whatever brings them.
func TestLimitsOfSizeHoldOverBothTransports(t *testing.T) {
	r := start(t, func(cfg *server.Config) { cfg.Limits.BodyBytes, cfg.Limits.BatchBytes = 4<<10, 16<<10 })
	padded := func(bytes int) *pb.Event {
		ev := bet("e-1")
		ev.Attributes = map[string]*pb.Value{}
		for i := 0; proto.Size(ev) < bytes; i++ {
			ev.Attributes[fmt.Sprintf("a%d", i)] = &pb.Value{Kind: &pb.Value_Text{Text: strings.Repeat("x", 200)}}
		}
		return ev
	}
	ctx, fits, large := r.as(t.Context(), "engine"), padded(3<<10), padded(5<<10)
	f := func(what string, err error, wanted bool) {
		t.Helper()
		if wanted && err != nil || !wanted && (status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "is larger than")) {
			t.Errorf("%s: got %v, want it taken: %t", what, err, wanted)
		}
	}
	_, err := pb.NewDecisionServiceClient(r.conn).Decide(ctx, &pb.DecisionRequest{Event: fits})
	f("a decision of 3 KiB", err, true)
	_, err = pb.NewDecisionServiceClient(r.conn).Decide(ctx, &pb.DecisionRequest{Event: large})
	f("a decision of 5 KiB", err, false)
	publish := func(n int) error {
		batch := &pb.PublishRequest{}
		for range n {
			batch.Events = append(batch.Events, proto.CloneOf(large))
		}
		_, refusal := pb.NewEventServiceClient(r.conn).Publish(ctx, batch)
		return refusal
	}
	f("a batch of 15 KiB", publish(3), true)
	err = publish(4)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a batch of 20 KiB: got %v, want it refused", err)
	}
	_, err = pb.NewFeatureServiceClient(r.conn).GetFeatures(r.as(t.Context(), "analyst"), &pb.GetFeaturesRequest{FeatureService: strings.Repeat("x", 5<<10)})
	f("a call for features of 5 KiB", err, false)
}

// Which bundle is read again stands in the configuration: the call says nothing, and hears no text of ours.
func TestReloadBundle(t *testing.T) {
	r := start(t, nil)
	const path = "/v1/admin/bundle:reload"
	if got := r.call(t, "admin", "POST", path, "{}"); got.status != 200 || !strings.Contains(got.body, `"state":"serving"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := r.call(t, "admin", "POST", path, `{"bundle": "/etc"}`); got.status != 400 || got.err.Path != "bundle" {
		t.Errorf("with a bundle of the caller's: got %d %s", got.status, got.body)
	}
	for err, reason := range map[error]string{server.ErrBundleRefused: "BUNDLE_REFUSED", server.ErrBundleWaits: "BUNDLE_WAITS"} {
		r.backend.reload = fmt.Errorf("/srv/bundle: %w", err)
		if got := r.call(t, "admin", "POST", path, "{}"); got.status != 409 || got.err.Reason != reason || strings.Contains(got.body, "/srv") {
			t.Errorf("%v: got %d %s", err, got.status, got.body)
		}
	}
}
