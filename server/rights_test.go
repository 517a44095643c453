package server_test

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

// TestEveryRouteNeedsItsRight walks the table over HTTP: nobody is let in, and neither is a principal without the right.
func TestEveryRouteNeedsItsRight(t *testing.T) {
	r := start(t, nil)
	for _, route := range server.Table() {
		if route.Pattern == "" {
			continue
		}
		path := strings.NewReplacer("{id}", "0123456789abcdef0123456789abcdef", "{kind}", "player").Replace(route.Pattern)
		get := func(as string) answer { return r.call(t, as, route.Method, path, "{}") }
		if route.Right == server.Public {
			if got := get(""); got.status == http.StatusUnauthorized || got.status == http.StatusForbidden {
				t.Errorf("%s is public: got %d", route.Name, got.status)
			}
			continue
		}
		if got := get(""); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s without a key: got %d, want 401", route.Name, got.status)
		}
		with, without := server.RolesWith(route.Right)
		for _, role := range without {
			if got := get(role); got.status != http.StatusForbidden || got.err.Reason != "MISSING_RIGHT" {
				t.Errorf("%s as %s: got %d %s, want 403", route.Name, role, got.status, got.err.Reason)
			}
		}
		for _, role := range with {
			if got := get(role); got.status == http.StatusUnauthorized || got.status == http.StatusForbidden {
				t.Errorf("%s as %s: got %d %s", route.Name, role, got.status, got.body)
			}
		}
	}
}

// TestEveryRPCNeedsItsRight walks what the gRPC server really serves, and holds that the table has nothing else.
func TestEveryRPCNeedsItsRight(t *testing.T) {
	r := start(t, nil)
	rights, inTable := map[string]server.Right{}, []string(nil)
	for _, route := range server.Table() {
		for _, rpc := range route.RPCs {
			rights[rpc] = route.Right
			inTable = append(inTable, rpc)
		}
	}
	slices.Sort(inTable)
	served := r.server.RPCs()
	if !slices.Equal(served, inTable) {
		t.Fatalf("served: %v\nin the table: %v", served, inTable)
	}
	invoke := func(as, rpc string) codes.Code {
		ctx := t.Context()
		if as != "" {
			ctx = r.as(ctx, as)
		}
		return status.Code(r.conn.Invoke(ctx, rpc, &emptypb.Empty{}, &emptypb.Empty{}))
	}
	for _, rpc := range served {
		right := rights[rpc]
		if right == server.Public {
			continue // streams among them; others are called below
		}
		if got := invoke("", rpc); got != codes.Unauthenticated {
			t.Errorf("%s without a key: got %s", rpc, got)
		}
		with, without := server.RolesWith(right)
		for _, role := range without {
			if got := invoke(role, rpc); got != codes.PermissionDenied {
				t.Errorf("%s as %s: got %s", rpc, role, got)
			}
		}
		for _, role := range with {
			if got := invoke(role, rpc); got == codes.Unauthenticated || got == codes.PermissionDenied || got == codes.Unimplemented {
				t.Errorf("%s as %s: got %s", rpc, role, got)
			}
		}
	}
	if got := invoke("", "/grpc.health.v1.Health/Check"); got != codes.OK {
		t.Errorf("health without a key: got %s", got)
	}
	stream, err := r.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/grpc.health.v1.Health/Watch")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&emptypb.Empty{}); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
		t.Errorf("health watched without a key: %v", err)
	}
}

// TestStrangersAreTurnedAwayByTheirHeader holds that no message of a stranger is waited for, let alone read and decoded.
func TestStrangersAreTurnedAwayByTheirHeader(t *testing.T) {
	r := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, pb.EventService_Publish_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&emptypb.Empty{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("before the first byte of its message: got %v, want %s", err, codes.Unauthenticated)
	}
}

func TestMetricsCanBePublic(t *testing.T) {
	r := start(t, func(cfg *server.Config) { cfg.PublicMetrics = true })
	if got := r.call(t, "", "GET", "/metrics", ""); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestTenantsReachOnlyTheirOwn holds that no principal decides, publishes or reads for another tenant, by either
// transport, and that nothing of a refused batch is applied.
func TestTenantsReachOnlyTheirOwn(t *testing.T) {
	r := start(t, nil)
	ingested := 0
	r.backend.ingest = ingestCounting(&ingested)
	decisions, events := pb.NewDecisionServiceClient(r.conn), pb.NewEventServiceClient(r.conn)
	entities := pb.NewFeatureServiceClient(r.conn)
	ctx := r.as(t.Context(), "other")

	mine, err := decisions.Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{Event: bet("e-1")})
	if err != nil {
		t.Fatal(err)
	}
	own := bet("e-1")
	own.Tenant = "other"
	f := func(name string, err error, want codes.Code) {
		t.Helper()
		if status.Code(err) != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	_, err = decisions.Decide(ctx, &pb.DecisionRequest{Event: bet("e-2")})
	f("Decide", err, codes.PermissionDenied)
	_, err = events.Publish(ctx, &pb.PublishRequest{Events: []*pb.Event{own, bet("e-3")}})
	f("Publish", err, codes.PermissionDenied)
	_, err = decisions.GetDecision(ctx, &pb.GetDecisionRequest{DecisionId: mine.GetDecisionId()})
	f("GetDecision", err, codes.NotFound)
	_, err = decisions.ExplainDecision(ctx, &pb.ExplainDecisionRequest{DecisionId: mine.GetDecisionId()})
	f("ExplainDecision", err, codes.NotFound)
	_, err = entities.GetEntityFeatures(ctx, &pb.GetEntityFeaturesRequest{Tenant: "casino"})
	f("GetEntityFeatures", err, codes.PermissionDenied)

	web := func(name string, got answer, status int, path string) {
		t.Helper()
		if got.status != status || got.err.Path != path {
			t.Errorf("%s: got %d %s, want %d at %q", name, got.status, got.body, status, path)
		}
	}
	web("POST decision", r.call(t, "other", "POST", "/v1/decisions", betJSON("e-2")), 403, "event.tenant")
	web("POST events", r.call(t, "other", "POST", "/v1/events", `{"events":[`+eventJSON("e-3")+`]}`), 403, "events[0].tenant")
	web("GET decision", r.call(t, "other", "GET", "/v1/decisions/"+mine.GetDecisionId(), ""), 404, "")
	web("GET score", r.call(t, "other", "GET", "/v1/decisions/"+mine.GetDecisionId()+"/score:explain", ""), 404, "")
	web("GET features", r.call(t, "other", "GET", "/v1/entities/player/x/features?form=raw&tenant=casino", ""), 403, "tenant")
	if ingested != 0 {
		t.Errorf("%d events of refused batches were applied", ingested)
	}

	// The same player and event of another tenant are another player and another event.
	theirs, err := decisions.Decide(ctx, &pb.DecisionRequest{Event: own})
	if err != nil || theirs.GetDecisionId() == mine.GetDecisionId() {
		t.Errorf("two tenants share a decision: %v, %v", theirs, err)
	}
	keys := map[features.EntityKey]string{}
	r.backend.features = keepKeys(keys)
	for _, as := range []string{"other", "admin"} {
		r.call(t, as, "GET", "/v1/entities/player/jane/features?form=raw", "")
		r.call(t, as, "GET", "/v1/entities/player/p-1/features?form=alias", "")
	}
	if len(keys) != 4 {
		t.Errorf("two tenants share an entity's state: %v", keys)
	}
}

func TestKeysThatAreNotGood(t *testing.T) {
	r := start(t, func(cfg *server.Config) {
		for i := range cfg.Keys {
			if cfg.Keys[i].ID == "producer" {
				cfg.Keys[i].Expires = "2020-01-01T00:00:00Z"
			}
		}
	})
	f := func(header, cause string) {
		t.Helper()
		before := r.count(t, "pitboss_server_auth_failures_total", "cause", cause)
		got := r.call(t, "", "GET", "/v1/decisions/0123456789abcdef0123456789abcdef", "", "Authorization", header)
		if got.status != http.StatusUnauthorized {
			t.Errorf("%q: got %d", header, got.status)
		}
		if after := r.count(t, "pitboss_server_auth_failures_total", "cause", cause); after != before+1 {
			t.Errorf("%q: not counted as %s", header, cause)
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", header)
		_, err := pb.NewDecisionServiceClient(r.conn).GetDecision(ctx, &pb.GetDecisionRequest{})
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("%q over gRPC: got %v", header, err)
		}
	}
	good := r.keys["engine"]
	f("", "missing")
	f("Basic "+good, "malformed")
	f(good, "malformed")
	f("Bearer", "malformed")
	f("Bearer pb_engine_", "malformed")
	f("Bearer pb_engine", "malformed")
	f("Bearer pb_EN_x", "malformed")
	f("Bearer "+good+strings.Repeat("x", 300), "malformed")
	f("Bearer pb_nobody_"+strings.Repeat("a", 52), "unknown")
	f("Bearer "+good[:len(good)-1], "wrong_secret")
	f("Bearer "+good+"a", "wrong_secret")
	f("Bearer "+strings.Replace(r.keys["other"], "pb_other", "pb_engine", 1), "wrong_secret")
	f("Bearer "+r.keys["producer"], "expired")
	if got := r.call(t, "", "GET", "/v1/decisions/0123456789abcdef0123456789abcdef", "", "Authorization", "bearer  "+good); got.status != 404 {
		t.Errorf("the scheme's case and white space do not matter: got %d", got.status)
	}
}

// TestTheDocumentedCallsAreAll compares the table of docs/api.md with the routes: their HTTP request, their right and who has it.
func TestTheDocumentedCallsAreAll(t *testing.T) {
	data, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, served []string
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || !strings.Contains(cells[1], " /") {
			continue
		}
		right, _, _ := strings.Cut(strings.TrimSpace(cells[3]), ",")
		right, _, _ = strings.Cut(right, ":")
		documented = append(documented, strings.TrimSpace(cells[1])+" | "+right+" | "+strings.TrimSpace(cells[4]))
	}
	for _, r := range server.Table() {
		if r.Pattern == "" {
			continue
		}
		right, roles := "none", ""
		if r.Right != server.Public {
			with, _ := server.RolesWith(r.Right)
			right, roles = string(r.Right), strings.Join(with, ", ")
		}
		served = append(served, r.Method+" "+r.Pattern+" | "+right+" | "+roles)
	}
	slices.Sort(documented)
	slices.Sort(served)
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("docs/api.md (-served +documented):\n%s", diff)
	}
}
