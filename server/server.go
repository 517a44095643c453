package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"pitboss/features"
	"pitboss/features/edge"
)

// Deps are what the server calls. All are needed.
type Deps struct {
	// Edge accepts events.
	Edge *edge.Edge
	// Kinds are the entity kinds that Edge was made with.
	Kinds *features.Kinds
	// Decider decides.
	Decider Decider
	// Ingester applies events.
	Ingester Ingester
	// Decisions finds decisions; usually a Store.
	Decisions DecisionReader
	// Features reads windows; usually a Store.
	Features FeatureReader
	// Pusher keeps pushed values.
	Pusher Pusher
	// Reloader reads the bundle again.
	Reloader Reloader
	// Readiness says how the parts are.
	Readiness Readiness
	// Metrics is where the server's figures are registered, and what /metrics serves.
	Metrics *prometheus.Registry
	// Log gets lifecycle, panics and internal errors. It gets no line per call, and no personal data.
	Log *slog.Logger
}

// Server serves gRPC and JSON. Use New, then Run; or Listen and Serve where the addresses must be known before.
type Server struct {
	cfg    Config
	deps   Deps
	calls  *calls
	auth   *authenticator
	stats  *metrics
	table  []route
	byRPC  map[string]*route
	ids    requestIDs
	noise  throttle
	slots  chan struct{}
	tls    *tls.Config
	grpc   *grpc.Server
	http   *http.Server
	health *health.Server

	draining atomic.Bool
}

// New makes a server and loads its certificates. It opens no port.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := deps.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, deps: deps, table: routes(), byRPC: map[string]*route{}, slots: make(chan struct{}, cfg.Limits.InFlight),
		health: health.NewServer(),
	}
	var err error
	if s.auth, err = newAuthenticator(cfg); err != nil {
		return nil, err
	}
	if s.ids, err = newRequestIDs(); err != nil {
		return nil, err
	}
	if s.tls, err = cfg.TLS.load(deps.Log); err != nil {
		return nil, err
	}
	if s.stats, err = newMetrics(deps.Metrics); err != nil {
		return nil, fmt.Errorf("cannot register metrics: %w", err)
	}
	for i := range s.table {
		for _, rpc := range s.table[i].rpcs {
			s.byRPC[rpc] = &s.table[i]
		}
	}
	s.calls = &calls{cfg: cfg, deps: deps, stats: s.stats, slow: make(chan struct{}, 1)}
	s.http = s.newHTTP()
	return s, nil
}

func (d *Deps) validate() error {
	for name, missing := range map[string]bool{
		"Edge": d.Edge == nil, "Kinds": d.Kinds == nil, "Decider": d.Decider == nil, "Ingester": d.Ingester == nil,
		"Decisions": d.Decisions == nil, "Features": d.Features == nil, "Pusher": d.Pusher == nil, "Reloader": d.Reloader == nil, "Readiness": d.Readiness == nil,
		"Metrics": d.Metrics == nil, "Log": d.Log == nil,
	} {
		if missing {
			return fmt.Errorf("BUG: server.Deps.%s is nil", name)
		}
	}
	return nil
}

// Listeners are open ports.
type Listeners struct {
	// HTTP takes JSON.
	HTTP net.Listener
	// GRPC takes gRPC; nil where it is not configured.
	GRPC net.Listener
}

// Listen opens the configured ports.
func (s *Server) Listen(ctx context.Context) (l Listeners, err error) {
	var lc net.ListenConfig
	if l.HTTP, err = lc.Listen(ctx, "tcp", s.cfg.HTTP); err != nil {
		return Listeners{}, fmt.Errorf("cannot listen for HTTP on %q: %w", s.cfg.HTTP, err)
	}
	if s.cfg.GRPC == "" {
		return l, nil
	}
	if l.GRPC, err = lc.Listen(ctx, "tcp", s.cfg.GRPC); err != nil {
		return Listeners{}, errors.Join(fmt.Errorf("cannot listen for gRPC on %q: %w", s.cfg.GRPC, err), l.HTTP.Close())
	}
	return l, nil
}

// Run listens and serves until ctx ends; see Serve.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.Listen(ctx)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

// Serve serves until ctx ends, then drains: /readyz says 503 while calls are still accepted, then nothing new is
// accepted, what is being worked on is finished, and Serve returns. It closes the listeners.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	s.grpc = s.newGRPC() // here and not in New: its workers end with the draining
	work, stop := context.WithCancel(ctx)
	defer stop()
	group, work := errgroup.WithContext(work)
	// Calls outlive the order to stop: only draining ends them.
	s.http.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	group.Go(func() error { return s.serveHTTP(l.HTTP) })
	if l.GRPC != nil {
		group.Go(func() error { return s.serveGRPC(l.GRPC) })
	}
	group.Go(func() error {
		s.watchHealth(work)
		return nil
	})
	group.Go(func() error {
		<-work.Done()
		s.drain(ctx)
		return nil
	})
	s.deps.Log.Info("serving", "http", l.HTTP.Addr().String(), "tls", s.tls != nil)
	if err := group.Wait(); err != nil {
		return err //nolint:wrapcheck // wrapped where it came up
	}
	s.deps.Log.Info("stopped")
	return nil
}

func (s *Server) serveHTTP(l net.Listener) error {
	l = netutil.LimitListener(l, s.cfg.Limits.Connections)
	var err error
	if s.tls != nil {
		err = s.http.ServeTLS(l, "", "")
	} else {
		err = s.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("cannot serve HTTP: %w", err)
}

func (s *Server) serveGRPC(l net.Listener) error {
	err := s.grpc.Serve(netutil.LimitListener(l, s.cfg.Limits.Connections))
	if err == nil || errors.Is(err, grpc.ErrServerStopped) { // it says so where the end came before the beginning
		return nil
	}
	return fmt.Errorf("cannot serve gRPC: %w", err)
}

// drain stops in the order in which nothing is lost.
func (s *Server) drain(ctx context.Context) {
	s.deps.Log.Info("draining", "accepting_for", s.cfg.Deadlines.DrainWait)
	s.draining.Store(true)
	s.health.Shutdown()
	if ctx.Err() != nil { // ordered to stop, not failed
		<-time.After(s.cfg.Deadlines.DrainWait) // ctx has ended: there is nothing beside it to wait for
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Deadlines.Drain)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error {
		finished := make(chan struct{})
		go func() {
			s.grpc.GracefulStop()
			close(finished)
		}()
		select {
		case <-finished:
		case <-limit.Done():
			s.deps.Log.Warn("gRPC calls were cut off", "after", s.cfg.Deadlines.Drain)
			s.grpc.Stop()
			<-finished
		}
		return nil
	})
	group.Go(func() error {
		if err := s.http.Shutdown(limit); err != nil {
			s.deps.Log.Warn("HTTP calls were cut off", "after", s.cfg.Deadlines.Drain)
			return s.http.Close()
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		s.deps.Log.Warn("cannot close HTTP", "error", err)
	}
}

// watchHealth keeps gRPC's health at what readiness says.
func (s *Server) watchHealth(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		status := healthpb.HealthCheckResponse_NOT_SERVING
		if ready, _ := s.ready(); ready {
			status = healthpb.HealthCheckResponse_SERVING
		}
		for service := range s.grpc.GetServiceInfo() {
			s.health.SetServingStatus(service, status)
		}
		s.health.SetServingStatus("", status)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ready says whether calls should be sent here, and how the parts are.
func (s *Server) ready() (bool, []Component) {
	parts := s.deps.Readiness.Components()
	ready := !s.draining.Load()
	for _, c := range parts {
		ready = ready && (c.Ready || !c.Needed)
	}
	return ready, parts
}
