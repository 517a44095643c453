package server

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"
)

// call is one call at the boundary, whatever its transport.
type call struct {
	server    *Server
	transport string
	route     *route
	id        string
	started   time.Time
	principal *Principal
	entered   bool
}

// unrouted stands for a route where there is none.
func unrouted() *route { return &route{name: "none", right: Public} }

// newCall begins a call. givenID is the caller's request id, used where it is fit to be.
func (s *Server) newCall(transport string, r *route, givenID string) *call {
	if r == nil {
		r = unrouted()
	}
	id := givenID
	if !isRequestID(id) {
		id = s.ids.next()
	}
	return &call{server: s, transport: transport, route: r, id: id, started: time.Now()}
}

// authorize finds the principal and holds it against the route's right.
func (c *call) authorize(header string, cert *x509.Certificate) error {
	if c.route.right == Public || c.route.name == "metrics" && c.server.cfg.PublicMetrics {
		return nil
	}
	p, failure := c.server.auth.authenticate(header, cert, c.started)
	if failure != "" {
		c.server.stats.authFailures.WithLabelValues(string(failure)).Inc()
		return refuse(kindUnauthenticated, "UNAUTHENTICATED", "",
			"a valid API key (Authorization: Bearer pb_...) or client certificate is needed")
	}
	if !p.may(c.route.right) {
		return refuse(kindForbidden, "MISSING_RIGHT", "", "this principal has no right to "+string(c.route.right))
	}
	c.principal = p
	return nil
}

// bodyLimit is how many bytes the call's request may have, over either transport.
func (c *call) bodyLimit() int64 {
	if c.route.right == Publish || c.route.right == PushFeatures {
		return c.server.cfg.Limits.BatchBytes
	}
	return c.server.cfg.Limits.BodyBytes
}

// enter takes a place among the calls that are worked on, or says that there is none.
func (c *call) enter() error {
	if c.route.free {
		return nil
	}
	select {
	case c.server.slots <- struct{}{}:
		c.entered = true
		c.server.stats.inFlight.Inc()
		return nil
	default:
		return refuse(kindBusy, "BUSY", "", "too many calls are being worked on")
	}
}

// end gives the place back, counts the call and gives its error as it leaves; nil where it went well. panicked is what
// recover gave.
func (c *call) end(err error, panicked any) *callError {
	if c.entered {
		<-c.server.slots
		c.server.stats.inFlight.Dec()
	}
	if panicked != nil {
		c.server.stats.panics.Inc()
		c.server.deps.Log.Error("a call panicked", "route", c.route.name, "request_id", c.id, "panic", fmt.Sprint(panicked),
			"stack", string(debug.Stack()))
		err = refuse(kindInternal, "INTERNAL", "", "internal error; the operator finds it in the log by the request_id")
	}
	var out *callError
	code := "OK"
	if err != nil {
		var known bool
		out, known = toCallError(err)
		code = codeName(out.kind.wire().grpc)
		if !known {
			c.server.stats.internal.Inc()
			c.logInternal(err)
		}
	}
	c.server.stats.answered(c.transport, c.route.name, code, time.Since(c.started))
	return out
}

// logInternal logs an error whose text must not leave: at most a few a second, since a full disk fails every call.
func (c *call) logInternal(err error) {
	if skipped, ok := c.server.noise.allow(c.started); ok {
		c.server.deps.Log.Error("a call failed", "route", c.route.name, "request_id", c.id, "error", err, "not_logged", skipped)
	}
}

// timeout gives the call its time, but for one that brings its own: a timer costs more than it seems at 50 ms a call.
func (c *call) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.route.hurried {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.server.cfg.Deadlines.Call)
}

// requestIDs makes ids that no other start of the server has made.
type requestIDs struct {
	prefix  string
	counter *atomic.Uint64
}

func newRequestIDs() (requestIDs, error) {
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		return requestIDs{}, fmt.Errorf("cannot make request ids: %w", err)
	}
	return requestIDs{prefix: hex.EncodeToString(b[:]) + "-", counter: new(atomic.Uint64)}, nil
}

func (r requestIDs) next() string { return r.prefix + strconv.FormatUint(r.counter.Add(1), 36) }

func isRequestID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

// throttle lets a few log lines through per second and counts the others.
type throttle struct {
	second  atomic.Int64
	count   atomic.Int64
	skipped atomic.Int64
}

// allow says whether a line may be written now, and how many were not since the last one.
func (t *throttle) allow(now time.Time) (skipped int64, ok bool) {
	const perSecond = 5
	if second := now.Unix(); t.second.Swap(second) != second {
		t.count.Store(0)
	}
	if t.count.Add(1) > perSecond {
		t.skipped.Add(1)
		return 0, false
	}
	return t.skipped.Swap(0), true
}
