package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pitboss/features/edge"
)

// httpCall is a call over HTTP.
type httpCall struct {
	*call

	w http.ResponseWriter
	r *http.Request
	// body is the whole request.
	body []byte
	// arrived is when the whole request was there.
	arrived time.Time
	wrote   bool
}

// newHTTP makes the HTTP side out of the table.
func (s *Server) newHTTP() *http.Server {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for i := range s.table {
		r := &s.table[i]
		if r.pattern == "" {
			continue
		}
		mux.HandleFunc(r.method+" "+r.pattern, func(w http.ResponseWriter, req *http.Request) { s.answerHTTP(r, w, req) })
		allowed[r.pattern] = append(allowed[r.pattern], r.method)
	}
	for pattern, methods := range allowed {
		other := unrouted()
		other.serve = func(_ *Server, c *httpCall) error {
			c.w.Header().Set("Allow", strings.Join(methods, ", "))
			return refuse(kindMethod, "METHOD_NOT_ALLOWED", "", "only "+strings.Join(methods, ", ")+" here")
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { s.answerHTTP(other, w, req) })
	}
	nothing := unrouted()
	nothing.serve = func(*Server, *httpCall) error {
		return refuse(kindNotFound, "NO_SUCH_ROUTE", "", "nothing is here")
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) { s.answerHTTP(nothing, w, req) })
	return &http.Server{
		Handler: mux, TLSConfig: s.tls.Clone(), MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: s.cfg.Deadlines.Header, ReadTimeout: s.cfg.Deadlines.Read,
		WriteTimeout: s.cfg.Deadlines.Read + s.cfg.Deadlines.Call, IdleTimeout: s.cfg.Deadlines.Idle,
		ErrorLog: slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug),
	}
}

// answerHTTP is the boundary of every HTTP call.
func (s *Server) answerHTTP(r *route, w http.ResponseWriter, req *http.Request) {
	c := &httpCall{call: s.newCall("http", r, req.Header.Get("X-Request-ID")), w: w, r: req}
	var err error
	defer func() {
		if out := c.end(err, recover()); out != nil {
			c.writeError(out)
		}
	}()
	h := w.Header()
	h.Set("X-Request-ID", c.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if s.draining.Load() {
		// The caller's next call goes elsewhere; a connection that is closed between its calls could lose one.
		h.Set("Connection", "close")
	}
	if err = c.authorize(req.Header.Get("Authorization"), httpCertificate(req)); err != nil {
		return
	}
	if err = c.readBody(); err != nil {
		return
	}
	c.arrived = time.Now()
	if err = c.enter(); err != nil {
		return
	}
	ctx, cancel := c.timeout(req.Context())
	defer cancel()
	c.r = req.WithContext(ctx)
	err = r.serve(s, c)
}

func httpCertificate(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0][0]
}

// readBody reads what a POST brings, as far as the route allows. A slow sender holds no place among the calls that are
// worked on: it is read before.
func (c *httpCall) readBody() error {
	if c.route.method != http.MethodPost || c.route.right == Public {
		return nil
	}
	if c.r.Header.Get("Content-Encoding") != "" {
		return refuse(kindMediaType, "UNSUPPORTED_ENCODING", "", "send the body as it is, without Content-Encoding")
	}
	if media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuse(kindMediaType, "UNSUPPORTED_MEDIA_TYPE", "", "Content-Type must be application/json")
	}
	limit := c.bodyLimit()
	if c.r.ContentLength > limit {
		return c.tooLarge(limit)
	}
	var body bytes.Buffer
	// What the caller says of the length is believed as far as it costs little.
	body.Grow(int(min(max(c.r.ContentLength, 0), 64<<10)) + bytes.MinRead)
	_, err := body.ReadFrom(http.MaxBytesReader(c.w, c.r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return c.tooLarge(limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(kindSlow, "SLOW_BODY", "", fmt.Sprintf("the body did not come in within %s", c.server.cfg.Deadlines.Read))
	}
	if err != nil {
		return refuse(kindCanceled, "CANCELED", "", "the body did not come in whole")
	}
	c.body = body.Bytes()
	return nil
}

// drainMost bounds what is read and thrown away of a body that is too large.
const drainMost = 16 << 20

// tooLarge refuses a body, after reading what is left of it: most callers write all of it before they read, and a
// connection that is closed under them loses the answer. Who asked before sending (Expect: 100-continue) hears it at once.
func (c *httpCall) tooLarge(limit int64) error {
	if c.r.Header.Get("Expect") == "" && c.r.ContentLength <= drainMost {
		_, _ = io.CopyN(io.Discard, c.r.Body, drainMost) // it ends where the body does, or the time to read it
	}
	return refuse(kindTooLarge, "TOO_LARGE", "", fmt.Sprintf("the body is larger than %d bytes", limit))
}

// decode reads the body as the JSON of a message.
func (c *httpCall) decode(msg proto.Message) error {
	err := edge.DecodeJSON(c.body, "", c.server.cfg.Limits.JSONDepth, msg)
	if refused, ok := errors.AsType[*edge.Error](err); ok && refused.Reason == edge.InvalidJSON && bytes.Contains(c.body, []byte("ersion")) {
		proto.Reset(msg)
		if decodeNewer(c.body, msg) {
			return nil
		}
	}
	return err //nolint:wrapcheck // an *edge.Error has its path, and its text is for the caller
}

func (c *httpCall) context() context.Context { return c.r.Context() }

// write answers with a message as JSON. The library varies its white space on purpose; callers get none of it.
func (c *httpCall) write(msg proto.Message) error {
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(msg)
	if err != nil {
		return fmt.Errorf("cannot write an answer: %w", err)
	}
	var body bytes.Buffer
	body.Grow(len(loose) + 1)
	if err := json.Compact(&body, loose); err != nil {
		return fmt.Errorf("cannot write an answer: %w", err)
	}
	body.WriteByte('\n')
	c.send(http.StatusOK, body.Bytes())
	return nil
}

// writeJSON answers with a value of ours.
func (c *httpCall) writeJSON(code int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("cannot write an answer: %w", err)
	}
	c.send(code, append(body, '\n'))
	return nil
}

func (c *httpCall) send(code int, body []byte) {
	c.wrote = true
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(code)
	_, _ = c.w.Write(body) // who does not listen any more needs no answer
}

// errorBody is an error as JSON.
type errorBody struct {
	Code      string `json:"code"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Path      string `json:"path,omitempty"`
	RequestID string `json:"request_id"`
}

// writeError answers with an error, if nothing was answered yet.
func (c *httpCall) writeError(e *callError) {
	if c.wrote {
		return
	}
	wire := e.kind.wire()
	if wire.retry > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(wire.retry.Seconds())))
	}
	if e.kind == kindUnauthenticated {
		c.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	body := errorBody{Code: codeName(wire.grpc), Reason: e.reason, Message: e.message, Path: e.path, RequestID: c.id}
	if err := c.writeJSON(wire.http, body); err != nil {
		c.logInternal(err)
	}
}
