package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"runtime"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "pitboss/proto/pitboss/v1"
)

// maxHeaderBytes bounds the header of a call: a key, a request id and what proxies add.
const maxHeaderBytes = 16 << 10

// streamWorkers, for each core, are goroutines that calls find ready. Their stacks have grown to what a decision needs;
// a new goroutine's is grown anew each time, which was a twelfth of all CPU. Calls beyond them get goroutines of their own.
const streamWorkers = 8

// newGRPC makes the gRPC side with its services.
func (s *Server) newGRPC() *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(max(s.cfg.Limits.BodyBytes, s.cfg.Limits.BatchBytes))),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(256),
		grpc.InTapHandle(s.tap),
		grpc.ConnectionTimeout(s.cfg.Deadlines.Header),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: s.cfg.Deadlines.Idle, Time: time.Minute, Timeout: 20 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.WaitForHandlers(true),
		grpc.NumStreamWorkers(uint32(streamWorkers * runtime.GOMAXPROCS(0))),
	}
	if s.tls != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(s.tls.Clone())))
	}
	g := grpc.NewServer(opts...)
	pb.RegisterDecisionServiceServer(g, grpcDecisions{server: s})
	pb.RegisterEventServiceServer(g, grpcEvents{server: s})
	pb.RegisterFeatureServiceServer(g, grpcFeatures{server: s})
	healthpb.RegisterHealthServer(g, s.health)
	reflection.Register(g)
	return g
}

// callKey is where the interceptors and handlers find their call in the context.
type callKey struct{}

// tap turns away whoever may not make a call when its header is there: before interceptors run, gRPC has read and
// decoded the whole message, and a stranger could fill the memory with those.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	r, ok := s.byRPC[info.FullMethodName]
	if !ok {
		return ctx, nil // there is no such method, and gRPC says so
	}
	c := s.newCall("grpc", r, first(info.Header, "x-request-id"))
	if err := c.authorize(first(info.Header, "authorization"), peerCertificate(ctx)); err != nil {
		return ctx, c.end(err, nil).grpc(c.id)
	}
	return context.WithValue(ctx, callKey{}, c), nil
}

// unary is the boundary of every unary call.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	c, lost := s.tapped(ctx, info.FullMethod)
	defer func() {
		if out := c.end(err, recover()); out != nil {
			resp, err = nil, out.grpc(c.id)
		}
	}()
	if lost != nil {
		return nil, lost
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	if err := c.fits(req); err != nil {
		return nil, err
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	ctx, cancel := c.timeout(ctx)
	defer cancel()
	return handler(ctx, req)
}

// stream is the boundary of the streaming calls, which are health and reflection.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	c, lost := s.tapped(ss.Context(), info.FullMethod)
	defer func() {
		panicked := recover()
		if _, theirs := status.FromError(err); theirs && err != nil && panicked == nil {
			// Health and reflection end in statuses of their own, mostly that the caller went away.
			_ = c.end(context.Canceled, nil) // what leaves is theirs
			return
		}
		if out := c.end(err, panicked); out != nil {
			err = out.grpc(c.id)
		}
	}()
	if lost != nil {
		return lost
	}
	if err := c.open(ss.Context()); err != nil {
		return err
	}
	return handler(srv, ss)
}

// tapped gives the call that tap let in. Its time runs from here on, when the whole message is there.
func (s *Server) tapped(ctx context.Context, method string) (*call, error) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return s.newCall("grpc", nil, ""), fmt.Errorf("BUG: the method %s is in no row of the table of routes", method)
	}
	c.started = time.Now()
	return c, nil
}

// open tells the caller the call's id.
func (c *call) open(ctx context.Context) error {
	if err := grpc.SetHeader(ctx, metadata.Pairs("x-request-id", c.id)); err != nil {
		return fmt.Errorf("cannot set a header: %w", err)
	}
	return nil
}

// fits holds a request against its route's limit: gRPC itself knows one limit for all methods, which is the largest.
func (c *call) fits(req any) error {
	msg, ok := req.(proto.Message)
	if limit := c.bodyLimit(); ok && int64(proto.Size(msg)) > limit {
		return refuse(kindTooLarge, "TOO_LARGE", "", fmt.Sprintf("the request is larger than %d bytes", limit))
	}
	return nil
}

// first gives the first value of a header.
func first(md metadata.MD, name string) string {
	if values := md[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// peerCertificate gives the caller's verified certificate.
func peerCertificate(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil
	}
	return info.State.VerifiedChains[0][0]
}

// grpc gives the error as a status with its details.
func (e *callError) grpc(requestID string) error {
	wire := e.kind.wire()
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: e.reason, Domain: "pitboss"}, &errdetails.RequestInfo{RequestId: requestID},
	}
	if e.path != "" {
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: e.path, Description: e.message, Reason: e.reason},
		}})
	}
	if wire.retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(wire.retry)})
	}
	message := strings.ToValidUTF8(e.message, "\ufffd")
	if e.path != "" {
		message = strings.ToValidUTF8(e.path, "\ufffd") + ": " + message
	}
	st := status.New(wire.grpc, message)
	if full, err := st.WithDetails(details...); err == nil {
		st = full
	}
	return st.Err()
}

// codeName gives a code as gRPC's documents and JSON write it.
func codeName(c codes.Code) string {
	names := [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
	if int(c) < len(names) {
		return names[c]
	}
	return "UNKNOWN"
}

// principalOf gives who makes the call, and when it came in.
func principalOf(ctx context.Context) (*Principal, time.Time) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		panic("BUG: a handler was called past the interceptor")
	}
	return c.principal, c.started
}

type grpcDecisions struct {
	pb.UnimplementedDecisionServiceServer

	server *Server
}

func (g grpcDecisions) Decide(ctx context.Context, req *pb.DecisionRequest) (*pb.Decision, error) {
	p, arrived := principalOf(ctx)
	return g.server.calls.decide(ctx, p, req, arrived)
}

func (g grpcDecisions) GetDecision(ctx context.Context, req *pb.GetDecisionRequest) (*pb.Decision, error) {
	p, _ := principalOf(ctx)
	return g.server.calls.getDecision(ctx, p, req)
}

func (g grpcDecisions) ExplainDecision(ctx context.Context, req *pb.ExplainDecisionRequest) (*pb.ExplainDecisionResponse, error) {
	p, _ := principalOf(ctx)
	return g.server.calls.explainDecision(ctx, p, req)
}

type grpcEvents struct {
	pb.UnimplementedEventServiceServer

	server *Server
}

func (g grpcEvents) Publish(ctx context.Context, req *pb.PublishRequest) (*pb.PublishResponse, error) {
	p, arrived := principalOf(ctx)
	return g.server.calls.publish(ctx, p, req, arrived)
}

type grpcFeatures struct {
	pb.UnimplementedFeatureServiceServer

	server *Server
}

func (g grpcFeatures) GetEntityFeatures(ctx context.Context, req *pb.GetEntityFeaturesRequest) (*pb.GetEntityFeaturesResponse, error) {
	p, arrived := principalOf(ctx)
	return g.server.calls.getEntityFeatures(ctx, p, req, arrived)
}

func (g grpcFeatures) ExplainEntityFeatures(ctx context.Context, req *pb.ExplainEntityFeaturesRequest) (*pb.ExplainEntityFeaturesResponse, error) {
	p, arrived := principalOf(ctx)
	return g.server.calls.explainEntityFeatures(ctx, p, req, arrived)
}

func (g grpcFeatures) GetFeatures(ctx context.Context, req *pb.GetFeaturesRequest) (*pb.GetFeaturesResponse, error) {
	p, arrived := principalOf(ctx)
	return g.server.calls.getFeatures(ctx, p, req, arrived)
}

func (g grpcFeatures) PushFeatures(ctx context.Context, req *pb.PushFeaturesRequest) (*pb.PushFeaturesResponse, error) {
	p, arrived := principalOf(ctx)
	return g.server.calls.pushFeatures(ctx, p, req, arrived)
}
