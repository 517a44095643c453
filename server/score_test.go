package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

// TestScoreIsExplained: by both transports, the largest parts first, of the features that are asked for.
func TestScoreIsExplained(t *testing.T) {
	r := start(t, nil)
	if got := r.call(t, "engine", "POST", "/v1/decisions", betJSON("s-1")); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	id := features.MakeEventKey("casino", "s-1").String()
	f := func(query, want string) {
		t.Helper()
		got := r.call(t, "analyst", "GET", "/v1/decisions/"+id+"/score:explain"+query, "")
		if got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s, want %s", query, got.status, got.body, want)
		}
	}
	f("", `"base_value":-2,"explained_margin":1,"contributions":[{"feature":"b","contribution":4},{"feature":"a","value":7,"contribution":-1}],"all":2}`)
	f("?limit=1", `"contributions":[{"feature":"b","contribution":4}],"all":2}`)
	f("?features=a", `"contributions":[{"feature":"a","value":7,"contribution":-1}],"all":1}`)
	f("?method=interventional&background=12", `"background":12`)
	f("?method=interactions", `"interactions":[{"feature":"b","other":"b","interaction":3},{"feature":"a","other":"a","interaction":-2},{"feature":"a","other":"b","interaction":1}],"all":3}`)
	f("?method=interactions&features=a", `"interactions":[{"feature":"a","other":"a","interaction":-2},{"feature":"a","other":"b","interaction":1}],"all":2}`)

	refused := func(who, query string, code int, reason string) {
		t.Helper()
		got := r.call(t, who, "GET", "/v1/decisions/"+id+"/score:explain"+query, "")
		if got.status != code || got.err.Reason != reason {
			t.Errorf("%s: %d %s, want %d %s", query, got.status, got.body, code, reason)
		}
	}
	refused("analyst", "?method=guess", http.StatusBadRequest, "INVALID_FIELD")
	refused("analyst", "?limit=x", http.StatusBadRequest, "INVALID_FIELD")
	refused("analyst", "?limit=1001", http.StatusBadRequest, "INVALID_FIELD")
	refused("analyst", "?background=3", http.StatusBadRequest, "INVALID_FIELD")
	refused("analyst", "?features=c", http.StatusNotFound, "NO_SUCH_FEATURE")
	refused("engine", "", http.StatusForbidden, "MISSING_RIGHT")
	refused("other", "", http.StatusNotFound, "NO_SUCH_DECISION")

	rpc := pb.NewDecisionServiceClient(r.conn)
	got, err := rpc.ExplainDecision(r.as(t.Context(), "analyst"), &pb.ExplainDecisionRequest{DecisionId: id})
	if err != nil || len(got.GetContributions()) != 2 || got.GetMethod() != pb.ExplainMethod_EXPLAIN_METHOD_PATH_DEPENDENT {
		t.Errorf("%v, %v", got, err)
	}
	for _, req := range []*pb.ExplainDecisionRequest{
		{DecisionId: "x"}, {DecisionId: id, Method: 99}, {DecisionId: id, Features: make([]string, 1001)},
	} {
		if _, err := rpc.ExplainDecision(r.as(t.Context(), "analyst"), req); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%.80v: %v", req, err)
		}
	}
}

// TestRealScoreIsExplained: on the real engine, and what a bundle without a sample cannot.
func TestRealScoreIsExplained(t *testing.T) {
	cfg, keys := testConfig(t)
	deps := realBackend(t)
	r := serve(t, cfg, keys, deps)
	rpc, ctx := pb.NewDecisionServiceClient(r.conn), r.as(t.Context(), "admin")
	d, err := rpc.Decide(ctx, &pb.DecisionRequest{Event: bet("d-1")})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Degraded) > 0 {
		t.Skip("a very slow machine left something out")
	}
	pairs, err := rpc.ExplainDecision(ctx, &pb.ExplainDecisionRequest{
		DecisionId: d.DecisionId, Method: pb.ExplainMethod_EXPLAIN_METHOD_INTERACTIONS, Limit: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := pairs.BaseValue
	for _, p := range pairs.Interactions {
		sum += p.Interaction
		if p.Feature != p.Other {
			sum += p.Interaction
		}
	}
	if off := sum - d.GetExplainedMargin(); !(off < 1e-9 && off > -1e-9) || d.GetExplainedMargin() != d.GetMargin() {
		t.Errorf("base and pairs make %v of %v", sum, d.GetExplainedMargin())
	}
	_, err = rpc.ExplainDecision(ctx, &pb.ExplainDecisionRequest{DecisionId: d.DecisionId, Method: pb.ExplainMethod_EXPLAIN_METHOD_INTERVENTIONAL})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "reference.csv") {
		t.Errorf("without a sample: %v", err)
	}
}

// TestLanguageOfACall: the call's, else the principal's; one that is none is refused.
func TestLanguageOfACall(t *testing.T) {
	r := start(t, func(cfg *server.Config) {
		for i := range cfg.Keys {
			if cfg.Keys[i].ID == "admin" {
				cfg.Keys[i].Language = "pt-BR"
			}
		}
	})
	asked := ""
	r.backend.decide = func(_ context.Context, _ *features.Event, opt decide.Options) (*pb.Decision, error) {
		asked = opt.Language
		return &pb.Decision{}, nil
	}
	f := func(who, language, want string) {
		t.Helper()
		asked = "nothing"
		body := strings.TrimSuffix(betJSON("e-1"), "}") + `, "options": {"language": "` + language + `"}}`
		if got := r.call(t, who, "POST", "/v1/decisions", body); got.status != http.StatusOK || asked != want {
			t.Errorf("%s with %q: %d %s, asked for %q, want %q", who, language, got.status, got.body, asked, want)
		}
	}
	f("engine", "", "")
	f("engine", "de", "de")
	f("admin", "", "pt-BR")
	f("admin", "de-AT", "de-AT")
	for _, language := range []string{"german", "de_AT", "DE", "../en"} {
		body := strings.TrimSuffix(betJSON("e-1"), "}") + `, "options": {"language": "` + language + `"}}`
		if got := r.call(t, "engine", "POST", "/v1/decisions", body); got.status != http.StatusBadRequest || got.err.Path != "options.language" {
			t.Errorf("%q: %d %s", language, got.status, got.body)
		}
	}
	cfg, _ := testConfig(t)
	cfg.Keys[0].Language = "german"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), `language: "german" is not one such as en, de or pt-BR`) {
		t.Errorf("a principal's language: %v", err)
	}
}
