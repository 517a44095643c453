package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

// TestDrainLosesNoRequest stops the server under load on both transports: every call that reached it gets its answer;
// callers see nothing worse than that nobody takes new ones.
func TestDrainLosesNoRequest(t *testing.T) {
	r := start(t, func(cfg *server.Config) { cfg.Deadlines.DrainWait = time.Second })
	var entered, left atomic.Int64
	r.backend.decide = func(_ context.Context, ev *features.Event, _ decide.Options) (*pb.Decision, error) {
		entered.Add(1)
		defer left.Add(1)
		<-time.After(3 * time.Millisecond) // a decision that takes its time
		return &pb.Decision{EventId: ev.ID}, nil
	}
	var answered atomic.Int64
	var clients sync.WaitGroup
	begun := make(chan struct{}, 64)
	for i := range 8 {
		clients.Go(func() { answered.Add(loadHTTP(t, r, i, begun)) })
		clients.Go(func() { answered.Add(loadGRPC(t, r, i, begun)) })
	}
	for range 64 { // the load is under way
		<-begun
	}
	r.stop()
	waitFor(t, r, "/readyz", http.StatusServiceUnavailable)
	if got, err := tryGet(t, r, "/healthz"); err != nil || got != http.StatusOK {
		t.Errorf("while it drains: got %d, %v; want calls still accepted", got, err)
	}
	clients.Wait()
	r.shutdown(t)
	if entered.Load() != left.Load() || answered.Load() != entered.Load() || answered.Load() < 64 {
		t.Errorf("%d calls were begun, %d ended, %d answered", entered.Load(), left.Load(), answered.Load())
	}
}

// tryGet asks while the server may go away.
func tryGet(tb testing.TB, r *running, path string) (int, error) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://memory"+path, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := r.web.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func waitFor(tb testing.TB, r *running, path string, want int) {
	tb.Helper()
	for {
		got, err := tryGet(tb, r, path)
		if err != nil {
			tb.Fatalf("%s: %v before it was %d", path, err, want)
		}
		if got == want {
			return
		}
	}
}

// loadHTTP asks for decisions until nobody answers the door, and gives the number of answers.
//
// A call that fails on a connection that was good before is lost. One that fails on a new connection was never accepted:
// the door closed while it stood in the queue before it, and no server can do anything about that.
func loadHTTP(t *testing.T, r *running, client int, begun chan<- struct{}) (answered int64) {
	t.Helper()
	transport := r.transport()
	defer transport.CloseIdleConnections()
	for i := 0; ; i++ {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://memory/v1/decisions",
			strings.NewReader(betJSON(fmt.Sprintf("h-%d-%d", client, i))))
		if err != nil {
			t.Error(err)
			return answered
		}
		req.GetBody = nil // no retries behind our back
		req.Header.Set("Authorization", "Bearer "+r.keys["engine"])
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			if reused {
				t.Errorf("a call was lost: %v", err)
			}
			return answered
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a call was lost: %d %s %v", resp.StatusCode, body, err)
			return answered
		}
		answered++
		select {
		case begun <- struct{}{}:
		default:
		}
	}
}

func loadGRPC(t *testing.T, r *running, client int, begun chan<- struct{}) (answered int64) {
	t.Helper()
	decisions := pb.NewDecisionServiceClient(r.conn)
	for i := 0; ; i++ {
		_, err := decisions.Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{Event: bet(fmt.Sprintf("g-%d-%d", client, i))})
		if err != nil {
			if status.Code(err) != codes.Unavailable {
				t.Errorf("a call was lost: %v", err)
			}
			return answered
		}
		answered++
		select {
		case begun <- struct{}{}:
		default:
		}
	}
}

func TestCallsThatDoNotEndAreCutOff(t *testing.T) {
	r := start(t, func(cfg *server.Config) {
		cfg.Deadlines.Drain = 20 * time.Millisecond
		cfg.Deadlines.Call = 10 * time.Second
	})
	inside := make(chan struct{}, 2)
	r.backend.read = func(ctx context.Context, _, _ string, _ pb.Explain) (*pb.Decision, error) {
		inside <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var clients sync.WaitGroup
	clients.Go(func() {
		if _, err := pb.NewDecisionServiceClient(r.conn).GetDecision(r.as(t.Context(), "engine"),
			&pb.GetDecisionRequest{DecisionId: strings.Repeat("0", 32)}); err == nil {
			t.Error("a call that was cut off was answered")
		}
	})
	clients.Go(func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://memory/v1/decisions/"+strings.Repeat("0", 32), http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+r.keys["engine"])
		if resp, err := r.web.Do(req); err == nil {
			resp.Body.Close()
		}
	})
	<-inside
	<-inside
	r.shutdown(t)
	clients.Wait()
	if !strings.Contains(r.log.String(), "cut off") {
		t.Errorf("nobody was told: %s", r.log)
	}
}

func TestTooManyCallsAreTurnedAway(t *testing.T) {
	r := start(t, func(cfg *server.Config) { cfg.Limits.InFlight = 2 })
	inside, leave := make(chan struct{}), make(chan struct{})
	r.backend.decide = func(context.Context, *features.Event, decide.Options) (*pb.Decision, error) {
		inside <- struct{}{}
		<-leave
		return &pb.Decision{}, nil
	}
	var clients sync.WaitGroup
	for i := range 2 {
		clients.Go(func() {
			if got := r.call(t, "engine", "POST", "/v1/decisions", betJSON(fmt.Sprint(i))); got.status != http.StatusOK {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
		<-inside
	}
	got := r.call(t, "engine", "POST", "/v1/decisions", betJSON("3"))
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "1" || got.err.Reason != "BUSY" {
		t.Errorf("HTTP: got %d %s", got.status, got.body)
	}
	_, err := pb.NewDecisionServiceClient(r.conn).Decide(r.as(t.Context(), "engine"), &pb.DecisionRequest{Event: bet("4")})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gRPC: got %v", err)
	}
	if got := r.call(t, "", "GET", "/readyz", ""); got.status != http.StatusOK {
		t.Errorf("health must get through: got %d", got.status)
	}
	if n := r.count(t, "pitboss_server_in_flight_requests"); n != 2 {
		t.Errorf("in flight: got %v, want 2", n)
	}
	close(leave)
	clients.Wait()
	if n := r.count(t, "pitboss_server_in_flight_requests"); n != 0 {
		t.Errorf("in flight at the end: got %v, want 0", n)
	}
}

func TestSlowSendersAreCutOff(t *testing.T) {
	r := start(t, func(cfg *server.Config) {
		cfg.Deadlines.Header, cfg.Deadlines.Read = 50*time.Millisecond, 100*time.Millisecond
		cfg.Limits.InFlight = 1
	})
	f := func(sent, answer string) {
		t.Helper()
		conn, err := net.Dial("tcp", r.http.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err = io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		// The slow sender holds no place among the calls.
		if got := r.call(t, "engine", "POST", "/v1/decisions", betJSON("e")); got.status != http.StatusOK {
			t.Errorf("beside a slow sender: got %d %s", got.status, got.body)
		}
		// Whatever the server says last, it closes: reading comes to an end.
		said, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reading to the end: %v", err)
		}
		if !strings.Contains(string(said), answer) {
			t.Errorf("%q: the server said %q, want %q", sent, said, answer)
		}
	}
	f("POST /v1/decisions HTTP/1.1\r\nHost: x\r\nAuthor", "")
	f("POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nAuthorization: Bearer "+
		r.keys["engine"]+"\r\n\r\n{\"event\"", "HTTP/1.1 408 ")
}
