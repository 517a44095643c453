package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

// authority makes certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	pem  []byte
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue makes a certificate and its key in PEM.
func (a *authority) issue(tb testing.TB, change func(*x509.Certificate)) (certPEM, keyPEM []byte) {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	change(template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// client gives a client's certificate.
func (a *authority) client(tb testing.TB, change func(*x509.Certificate)) []tls.Certificate {
	tb.Helper()
	cert, err := tls.X509KeyPair(a.issue(tb, change))
	if err != nil {
		tb.Fatal(err)
	}
	return []tls.Certificate{cert}
}

// TestClientCertificates serves on loopback with TLS and lets clients in by subject, by name and by key.
func TestClientCertificates(t *testing.T) {
	ours, strangers := newAuthority(t), newAuthority(t)
	cfg, keys := testConfig(t)
	cfg.HTTP, cfg.GRPC = "127.0.0.1:0", "127.0.0.1:0"
	cfg.TLS = writeTLS(t, ours)
	cfg.Certificates = []server.CertificateConfig{
		{Subject: "CN=engine-1,O=Casino", Tenant: "casino", Name: "engine-1", Roles: []string{"engine"}},
		{SAN: "spiffe://casino/console", Tenant: "casino", Name: "console", Roles: []string{"analyst"}},
	}
	e, kinds := testEdge(t)
	b := &backend{known: map[string]*pb.Decision{}}
	srv, err := server.New(cfg, server.Deps{Edge: e, Kinds: kinds, Decider: b, Ingester: b, Decisions: b, Features: b, Pusher: b, Reloader: b, Readiness: b,
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := srv.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, listeners) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	subject := func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "engine-1", Organization: []string{"Casino"}}
	}
	uri := func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "casino", Path: "/console"}} }
	f := func(name string, certs []tls.Certificate, key string, http int, rpc codes.Code) {
		t.Helper()
		config := &tls.Config{RootCAs: ours.pool, Certificates: certs, ServerName: "localhost", MinVersion: tls.VersionTLS12}
		if got := decideByTLS(t, listeners.HTTP.Addr(), config, key); got != http {
			t.Errorf("%s over HTTP: got %d, want %d", name, got, http)
		}
		if got := decideByTLSGRPC(t, listeners.GRPC.Addr(), config, key); got != rpc {
			t.Errorf("%s over gRPC: got %s, want %s", name, got, rpc)
		}
	}
	f("nobody", nil, "", 401, codes.Unauthenticated)
	f("a subject", ours.client(t, subject), "", 200, codes.OK)
	f("a name without the right", ours.client(t, uri), "", 403, codes.PermissionDenied)
	f("a certificate that nobody configured", ours.client(t, func(*x509.Certificate) {}), "", 401, codes.Unauthenticated)
	f("a key", nil, keys["engine"], 200, codes.OK)
	f("a bad key beside a good certificate", ours.client(t, subject), "pb_engine_x", 401, codes.Unauthenticated)
	f("another authority", strangers.client(t, subject), "", 0, codes.Unavailable)
}

func writeTLS(tb testing.TB, a *authority) server.TLSConfig {
	tb.Helper()
	cert, key := a.issue(tb, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	dir := tb.TempDir()
	cfg := server.TLSConfig{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca")}
	for path, data := range map[string][]byte{cfg.Cert: cert, cfg.Key: key, cfg.ClientCA: a.pem} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return cfg
}

// decideByTLS gives the status, 0 where TLS let nobody through.
func decideByTLS(tb testing.TB, addr net.Addr, config *tls.Config, key string) int {
	tb.Helper()
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "https://"+addr.String()+"/v1/decisions", strings.NewReader(betJSON("e")))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

func decideByTLSGRPC(tb testing.TB, addr net.Addr, config *tls.Config, key string) codes.Code {
	tb.Helper()
	conn, err := grpc.NewClient(addr.String(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	ctx := tb.Context()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	_, err = pb.NewDecisionServiceClient(conn).Decide(ctx, &pb.DecisionRequest{Event: bet("e")})
	return status.Code(err)
}

func TestCertificatesThatCannotBeLoaded(t *testing.T) {
	good := writeTLS(t, newAuthority(t))
	e, kinds := testEdge(t)
	b := &backend{}
	f := func(change func(*server.TLSConfig), want string) {
		t.Helper()
		cfg, _ := testConfig(t)
		cfg.TLS = good
		change(&cfg.TLS)
		_, err := server.New(cfg, server.Deps{Edge: e, Kinds: kinds, Decider: b, Ingester: b, Decisions: b, Features: b, Pusher: b, Reloader: b, Readiness: b,
			Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f(func(c *server.TLSConfig) { c.Cert = c.Key }, "server's certificate")
	f(func(c *server.TLSConfig) { c.ClientCA = filepath.Join(t.TempDir(), "none") }, "authorities of clients")
	f(func(c *server.TLSConfig) { c.ClientCA = c.Key }, "no certificate in")
}

func TestAPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	e, kinds := testEdge(t)
	b := &backend{}
	f := func(change func(*server.Config), want string) {
		t.Helper()
		cfg, _ := testConfig(t)
		cfg.HTTP, cfg.GRPC = "127.0.0.1:0", "127.0.0.1:0"
		change(&cfg)
		srv, err := server.New(cfg, server.Deps{Edge: e, Kinds: kinds, Decider: b, Ingester: b, Decisions: b, Features: b, Pusher: b, Reloader: b, Readiness: b,
			Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f(func(c *server.Config) { c.HTTP = taken.Addr().String() }, "cannot listen for HTTP")
	f(func(c *server.Config) { c.GRPC = taken.Addr().String() }, "cannot listen for gRPC")
}
