package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

func ingestCounting(n *int) func(context.Context, []features.IngestItem) ([]features.IngestResult, error) {
	return func(_ context.Context, items []features.IngestItem) ([]features.IngestResult, error) {
		*n += len(items)
		return make([]features.IngestResult, len(items)), nil
	}
}

func keepKeys(keys map[features.EntityKey]string) func([]features.EntityRef) {
	return func(refs []features.EntityRef) { keys[refs[0].Key] = refs[0].Alias }
}

func failing(err error) func(context.Context, *features.Event, decide.Options) (*pb.Decision, error) {
	return func(context.Context, *features.Event, decide.Options) (*pb.Decision, error) { return nil, err }
}

func TestErrorsLeaveByTheTable(t *testing.T) {
	r := start(t, nil)
	f := func(err error, code codes.Code, httpStatus int, reason string, retry bool) {
		t.Helper()
		r.backend.decide = failing(fmt.Errorf("cannot do it at /var/lib/secret: %w", err))
		_, got := pb.NewDecisionServiceClient(r.conn).Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{Event: bet("e")})
		st := status.Convert(got)
		if st.Code() != code {
			t.Errorf("%v: got %s, want %s", err, st.Code(), code)
		}
		var gotReason, requestID string
		var gotRetry bool
		for _, d := range st.Details() {
			switch d := d.(type) {
			case *errdetails.ErrorInfo:
				gotReason = d.GetReason()
			case *errdetails.RetryInfo:
				gotRetry = d.GetRetryDelay().AsDuration() > 0
			case *errdetails.RequestInfo:
				requestID = d.GetRequestId()
			}
		}
		if gotReason != reason || gotRetry != retry || requestID == "" {
			t.Errorf("%v: got reason %q retry %t id %q, want %q %t", err, gotReason, gotRetry, requestID, reason, retry)
		}
		web := r.call(t, "engine", "POST", "/v1/decisions", betJSON("e"))
		if web.status != httpStatus || web.err.Reason != reason || (web.header.Get("Retry-After") != "") != retry {
			t.Errorf("%v: got %d %s Retry-After %q, want %d %s %t", err, web.status, web.body, web.header.Get("Retry-After"), httpStatus, reason, retry)
		}
		if strings.Contains(web.body+st.Message(), "secret") || strings.Contains(web.body+st.Message(), "hidden") {
			t.Errorf("%v: internal text left: %s / %s", err, web.body, st.Message())
		}
	}
	f(features.ErrConflict, codes.AlreadyExists, 409, "CONFLICT", false)
	f(features.ErrDuplicateTransaction, codes.AlreadyExists, 409, "DUPLICATE_TRANSACTION", false)
	f(features.ErrNotWritten, codes.Unavailable, 503, "NOT_WRITTEN", true)
	f(features.ErrUnavailable, codes.Unavailable, 503, "UNAVAILABLE", true)
	f(features.ErrClosed, codes.Unavailable, 503, "STOPPING", true)
	f(features.ErrRecordErased, codes.NotFound, 410, "ERASED", false)
	f(features.ErrNoRecord, codes.NotFound, 404, "NO_SUCH_DECISION", false)
	f(context.DeadlineExceeded, codes.DeadlineExceeded, 504, "DEADLINE", false)
	f(context.Canceled, codes.Canceled, 499, "CANCELED", false)
	f(errors.New("hidden"), codes.Internal, 500, "INTERNAL", false)
	if !strings.Contains(r.log.String(), "hidden") || !strings.Contains(r.log.String(), "request_id") {
		t.Errorf("an internal error is not in the log: %s", r.log)
	}
	if n := r.count(t, "pitboss_server_internal_errors_total"); n != 2 {
		t.Errorf("internal errors counted: got %v, want 2", n)
	}
}

func TestFieldErrorsCarryThePath(t *testing.T) {
	r := start(t, nil)
	msg := bet("e")
	msg.GetBetPlaced().Amount.Currency = "EURO"
	_, err := pb.NewDecisionServiceClient(r.conn).Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{Event: msg})
	st := status.Convert(err)
	found := false
	for _, d := range st.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			v := bad.GetFieldViolations()[0]
			found = v.GetField() == "event.bet_placed.amount.currency" && v.GetReason() == "UNKNOWN_CURRENCY" && v.GetDescription() != ""
		}
	}
	if st.Code() != codes.InvalidArgument || !found {
		t.Errorf("got %v with %v", st, st.Details())
	}
	_, err = pb.NewDecisionServiceClient(r.conn).Decide(r.as(t.Context(), "engine"),
		&pb.DecisionRequest{Event: bet("e"), Options: &pb.DecisionOptions{DeadlineMs: 51}})
	if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.HasPrefix(st.Message(), "options.deadline_ms: ") {
		t.Errorf("a deadline over the limit: got %v", err)
	}
	_, err = pb.NewDecisionServiceClient(r.conn).Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{})
	if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.HasPrefix(st.Message(), "event") {
		t.Errorf("no event: got %v", err)
	}
}

func TestAPanicEndsACallAndNotTheServer(t *testing.T) {
	r := start(t, nil)
	r.backend.decide = func(context.Context, *features.Event, decide.Options) (*pb.Decision, error) { panic("hidden cause") }
	for range 300 { // more than limits.in_flight: a panic gives its place back
		if got := r.call(t, "engine", "POST", "/v1/decisions", betJSON("e")); got.status != 500 || strings.Contains(got.body, "hidden") {
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
	_, err := pb.NewDecisionServiceClient(r.conn).Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{Event: bet("e")})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "hidden") {
		t.Errorf("gRPC: got %v", err)
	}
	if n := r.count(t, "pitboss_server_panics_total"); n != 301 {
		t.Errorf("panics counted: got %v, want 301", n)
	}
	if !strings.Contains(r.log.String(), "hidden cause") {
		t.Error("the panic is not in the log")
	}
	r.backend.decide = nil
	if got := r.call(t, "engine", "POST", "/v1/decisions", betJSON("e")); got.status != http.StatusOK {
		t.Errorf("after the panics: got %d %s", got.status, got.body)
	}
}

func TestBatchesThatCannotBeWritten(t *testing.T) {
	r := start(t, nil)
	r.backend.ingest = func(context.Context, []features.IngestItem) ([]features.IngestResult, error) {
		return nil, fmt.Errorf("cannot append: %w", features.ErrNotWritten)
	}
	got := r.call(t, "producer", "POST", "/v1/events", `{"events":[`+eventJSON("e")+`]}`)
	if got.status != 503 || got.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	r.backend.ingest = func(context.Context, []features.IngestItem) ([]features.IngestResult, error) { return nil, nil }
	if got := r.call(t, "producer", "POST", "/v1/events", `{"events":[`+eventJSON("e")+`]}`); got.status != 500 {
		t.Errorf("results that are missing: got %d %s", got.status, got.body)
	}
}

func TestRoutesThatDoNotExist(t *testing.T) {
	r := start(t, nil)
	f := func(method, path string, status int, reason string) {
		t.Helper()
		if got := r.call(t, "admin", method, path, ""); got.status != status || got.err.Reason != reason {
			t.Errorf("%s %s: got %d %s, want %d %s", method, path, got.status, got.body, status, reason)
		}
	}
	f("GET", "/", 404, "NO_SUCH_ROUTE")
	f("GET", "/v2/decisions", 404, "NO_SUCH_ROUTE")
	f("GET", "/v1/decisions", 405, "METHOD_NOT_ALLOWED")
	f("DELETE", "/v1/decisions/0123456789abcdef0123456789abcdef", 405, "METHOD_NOT_ALLOWED")
	f("POST", "/healthz", 405, "METHOD_NOT_ALLOWED")
	f("POST", "/v1/guard", 501, "NOT_BUILT")
	f("GET", "/v1/decisions/xyz", 400, "INVALID_FIELD")
	f("GET", "/v1/decisions/0123456789abcdef0123456789abcdef", 404, "NO_SUCH_DECISION")
	f("GET", "/v1/decisions/0123456789abcdef0123456789abcdef?explain=lots", 400, "INVALID_FIELD")
	f("GET", "/v1/decisions/0123456789abcdef0123456789abcdef?a=%zz", 400, "INVALID_FIELD")
	if got := r.call(t, "admin", "GET", "/v1/decisions", ""); got.header.Get("Allow") != "POST" {
		t.Errorf("Allow: got %q", got.header.Get("Allow"))
	}
	given := r.call(t, "", "GET", "/healthz", "", "X-Request-ID", "mine-1")
	odd := r.call(t, "", "GET", "/healthz", "", "X-Request-ID", "mine 1")
	if given.header.Get("X-Request-ID") != "mine-1" || strings.HasPrefix(odd.header.Get("X-Request-ID"), "mine") {
		t.Errorf("request ids: got %q and %q", given.header.Get("X-Request-ID"), odd.header.Get("X-Request-ID"))
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	f := func(change func(*server.Config), want string) {
		t.Helper()
		cfg, _ := testConfig(t)
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f(func(c *server.Config) { c.HTTP = "" }, "http:")
	f(func(c *server.Config) { c.HTTP = "0.0.0.0:8080" }, "other machines")
	f(func(c *server.Config) { c.GRPC = ":9090" }, "other machines")
	f(func(c *server.Config) { c.TLS.Cert = "x" }, "belong together")
	f(func(c *server.Config) { c.TLS.ClientCA = "x" }, "tls.client_ca")
	f(func(c *server.Config) { c.Certificates = []server.CertificateConfig{{}} }, "certificates: need")
	f(func(c *server.Config) { c.Limits.BodyBytes = 0 }, "limits.body_bytes")
	f(func(c *server.Config) { c.Limits.BatchEvents = 1001 }, "limits.batch_events")
	f(func(c *server.Config) { c.Limits.JSONDepth = 4 }, "limits.json_depth")
	f(func(c *server.Config) { c.Deadlines.Decide = 51e6 }, "deadlines.decide")
	f(func(c *server.Config) { c.Deadlines.Header = 0 }, "deadlines.header")
	f(func(c *server.Config) { c.Keys[0].ID = "No" }, "keys[0]: id")
	f(func(c *server.Config) { c.Keys[1].ID = c.Keys[0].ID }, "used twice")
	f(func(c *server.Config) { c.Keys[0].SecretSHA256 = "abc" }, "keys[0]: secret_sha256")
	f(func(c *server.Config) { c.Keys[0].Tenant = "" }, "keys[0]: tenant")
	f(func(c *server.Config) { c.Keys[0].Roles = nil }, "keys[0]: roles")
	f(func(c *server.Config) { c.Keys[0].Roles = []string{"boss"} }, `"boss"`)
	f(func(c *server.Config) { c.Keys[0].Expires = "soon" }, `"soon"`)
	f(func(c *server.Config) {
		c.TLS = server.TLSConfig{Cert: "c", Key: "k", ClientCA: "a"}
		c.Certificates = []server.CertificateConfig{{Subject: "CN=a", SAN: "a", Tenant: "casino", Roles: []string{"engine"}}}
	}, "certificates[0]: exactly one")
	cfg := server.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	cfg.HTTP, cfg.Plaintext = ":8080", true
	if err := cfg.Validate(); err != nil {
		t.Errorf("plaintext that is meant is refused: %v", err)
	}
	if _, _, err := server.NewKey("a", "casino", "a", "boss"); err == nil {
		t.Error("a key with an unknown role was made")
	}
}
