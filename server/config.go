package server

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config is how the server listens, whom it lets in and what it bears. A field that says nothing else needs a restart
// to change.
type Config struct {
	// HTTP is where JSON, health and metrics are served: host:port. Default 127.0.0.1:8080.
	HTTP string `yaml:"http"`
	// GRPC is where gRPC is served: host:port. Default 127.0.0.1:9090. Empty: no gRPC.
	GRPC string `yaml:"grpc"`
	// TLS has the certificates. Default: none, which is refused on addresses beyond loopback unless Plaintext says that
	// it is meant.
	TLS TLSConfig `yaml:"tls"`
	// Plaintext allows listening beyond loopback without TLS, behind a proxy that ends TLS. Default false: API keys would
	// be readable on the wire.
	Plaintext bool `yaml:"plaintext"`
	// Keys are the API keys. Default: none.
	Keys []KeyConfig `yaml:"keys"`
	// Certificates are the client certificates; they need tls.client_ca. Default: none.
	Certificates []CertificateConfig `yaml:"certificates"`
	// FeatureServices are lists of features by a name that callers of features:get and Feast's clients can ask for. The name of
	// the feature set stands for all of it. Default: none.
	FeatureServices map[string][]string `yaml:"feature_services"`
	// PublicMetrics lets everyone who reaches the server read /metrics. Default false: it takes the right `operate`.
	PublicMetrics bool `yaml:"public_metrics"`
	// Limits bound what one caller can cost.
	Limits LimitConfig `yaml:"limits"`
	// Deadlines bound how long things take.
	Deadlines DeadlineConfig `yaml:"deadlines"`
}

// TLSConfig has the server's certificate and whom it trusts.
type TLSConfig struct {
	// Cert and Key are PEM files. Default: none, and no TLS. When they change they are read again within 10 s.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ClientCA is a PEM file with the authorities of client certificates. Default: none, and API keys alone.
	ClientCA string `yaml:"client_ca"`
}

// LimitConfig bounds what one caller can cost.
type LimitConfig struct {
	// BodyBytes bounds a request, in bytes of JSON or of gRPC's message. Default 1 MiB. A decision needs about 2 KiB.
	BodyBytes int64 `yaml:"body_bytes"`
	// BatchBytes bounds a batch of events or of pushed values in the same way. Default 4 MiB. Raise it where 1,000 events are larger.
	BatchBytes int64 `yaml:"batch_bytes"`
	// BatchEvents bounds the events of a batch, 1 to 1000. Default 1000.
	BatchEvents int `yaml:"batch_events"`
	// FeatureRows bounds the rows of one call for features, 1 to 10000. Default 1000.
	FeatureRows int `yaml:"feature_rows"`
	// FeatureValues bounds its values, rows times features. Default 100000: about 100 ms of reading.
	FeatureValues int `yaml:"feature_values"`
	// JSONDepth bounds how deep objects and lists may nest. Default 16; a batch needs 8.
	JSONDepth int `yaml:"json_depth"`
	// InFlight bounds the calls that are worked on at once; more are told to come back (429). Default 256. A decision
	// takes under a millisecond, so waiting longer in a queue would only miss more deadlines.
	InFlight int `yaml:"in_flight"`
	// Connections bounds open connections per listener; more wait to be accepted. Default 4096.
	Connections int `yaml:"connections"`
}

// DeadlineConfig bounds how long things take.
type DeadlineConfig struct {
	// Decide is the time for a decision whose caller names none, at most MaxDecide. Default 30ms.
	Decide time.Duration `yaml:"decide"`
	// Call is the time for every other call. Default 10s.
	Call time.Duration `yaml:"call"`
	// Header is the time in which a request's header must have come in. Default 5s.
	Header time.Duration `yaml:"header"`
	// Read is the time in which a whole request must have come in. Default 10s.
	Read time.Duration `yaml:"read"`
	// Idle is how long a connection may be silent. Default 2m.
	Idle time.Duration `yaml:"idle"`
	// DrainWait is how long, after the order to stop, calls are still accepted while /readyz says 503, so that load
	// balancers and callers go elsewhere first. Default 1s. Set it to the balancer's check interval.
	DrainWait time.Duration `yaml:"drain_wait"`
	// Drain is how long calls that are being worked on may take after that. Default 10s. Then they are cut off.
	Drain time.Duration `yaml:"drain"`
}

// MaxDecide is the longest deadline that a caller may have for a decision.
const MaxDecide = 50 * time.Millisecond

// DefaultConfig gives a server on loopback whom nobody has a key to.
func DefaultConfig() Config {
	return Config{
		HTTP: "127.0.0.1:8080",
		GRPC: "127.0.0.1:9090",
		Limits: LimitConfig{
			BodyBytes: 1 << 20, BatchBytes: 4 << 20, BatchEvents: 1000, FeatureRows: 1000, FeatureValues: 100_000, JSONDepth: 16, InFlight: 256, Connections: 4096,
		},
		Deadlines: DeadlineConfig{
			Decide: 30 * time.Millisecond, Call: 10 * time.Second, Header: 5 * time.Second, Read: 10 * time.Second,
			Idle: 2 * time.Minute, DrainWait: time.Second, Drain: 10 * time.Second,
		},
	}
}

// Validate says what is wrong with the configuration without opening a file or a port.
func (c *Config) Validate() error {
	if err := c.validateAddress("http", c.HTTP, false); err != nil {
		return err
	}
	if err := c.validateAddress("grpc", c.GRPC, true); err != nil {
		return err
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("tls: cert and key belong together")
	}
	if c.TLS.ClientCA != "" && !c.TLS.on() {
		return errors.New("tls.client_ca: needs tls.cert and tls.key")
	}
	if len(c.Certificates) > 0 && c.TLS.ClientCA == "" {
		return errors.New("certificates: need tls.client_ca, or nobody could present one")
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	if err := c.Deadlines.validate(); err != nil {
		return err
	}
	for name, list := range c.FeatureServices {
		if name == "" || len(list) == 0 {
			return fmt.Errorf("feature_services: %q needs a name and a list of features", name)
		}
	}
	return c.validatePrincipals()
}

func (c *Config) validateAddress(name, address string, mayBeEmpty bool) error {
	if address == "" && mayBeEmpty {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s: %q is not host:port, such as 127.0.0.1:8080", name, address)
	}
	ip := net.ParseIP(host)
	if loopback := host == "localhost" || ip != nil && ip.IsLoopback(); loopback || c.TLS.on() || c.Plaintext {
		return nil
	}
	return fmt.Errorf("%s: %q is reached from other machines: set tls.cert and tls.key, or plaintext: true behind a "+
		"proxy that ends TLS", name, address)
}

func (t TLSConfig) on() bool { return t.Cert != "" && t.Key != "" }

func (l *LimitConfig) validate() error {
	for _, f := range []struct {
		name        string
		value       int64
		least, most int64
	}{
		{"body_bytes", l.BodyBytes, 1 << 10, 64 << 20},
		{"batch_bytes", l.BatchBytes, 1 << 10, 64 << 20},
		{"batch_events", int64(l.BatchEvents), 1, 1000},
		{"feature_rows", int64(l.FeatureRows), 1, 10_000},
		{"feature_values", int64(l.FeatureValues), 1, 10_000_000},
		{"json_depth", int64(l.JSONDepth), 8, 64},
		{"in_flight", int64(l.InFlight), 1, 1 << 20},
		{"connections", int64(l.Connections), 1, 1 << 20},
	} {
		if f.value < f.least || f.value > f.most {
			return fmt.Errorf("limits.%s: %d is not within %d and %d", f.name, f.value, f.least, f.most)
		}
	}
	return nil
}

func (d *DeadlineConfig) validate() error {
	for _, f := range []struct {
		name        string
		value       time.Duration
		least, most time.Duration
	}{
		{"decide", d.Decide, time.Millisecond, MaxDecide},
		{"call", d.Call, 10 * time.Millisecond, time.Hour},
		{"header", d.Header, 10 * time.Millisecond, time.Minute},
		{"read", d.Read, 10 * time.Millisecond, time.Hour},
		{"idle", d.Idle, 10 * time.Millisecond, time.Hour},
		{"drain_wait", d.DrainWait, 0, 10 * time.Minute},
		{"drain", d.Drain, 0, 10 * time.Minute},
	} {
		if f.value < f.least || f.value > f.most {
			return fmt.Errorf("deadlines.%s: %s is not within %s and %s", f.name, f.value, f.least, f.most)
		}
	}
	return nil
}

func (c *Config) validatePrincipals() error {
	seen := map[string]bool{}
	for i, k := range c.Keys {
		if err := k.validate(); err != nil {
			return fmt.Errorf("keys[%d]: %w", i, err)
		}
		if seen[k.ID] {
			return fmt.Errorf("keys[%d].id: %q is used twice", i, k.ID)
		}
		seen[k.ID] = true
	}
	for i, cert := range c.Certificates {
		if err := cert.validate(); err != nil {
			return fmt.Errorf("certificates[%d]: %w", i, err)
		}
	}
	return nil
}
