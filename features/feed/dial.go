package feed

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// dialing gives the options of the connection: addresses, TLS, SASL. It reads the files that the configuration names.
func (c Config) dialing() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID("pitboss")}
	switch {
	case c.TLSConfig != nil:
		opts = append(opts, kgo.DialTLSConfig(c.TLSConfig))
	case c.TLS:
		config, err := c.loadTLS()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	if c.SASLUser == "" {
		return opts, nil
	}
	password, err := os.ReadFile(c.inDir(c.SASLPasswordFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read the kafka password: %w", err)
	}
	// An editor's line end at the end is not of the password; spaces may be.
	password = bytes.TrimRight(password, "\r\n")
	if len(password) == 0 {
		return nil, fmt.Errorf("cannot read the kafka password: %q is empty", c.SASLPasswordFile)
	}
	return append(opts, kgo.SASL(c.mechanism(string(password)))), nil
}

func (c Config) mechanism(password string) sasl.Mechanism {
	switch c.SASLMechanism {
	case "plain":
		return plain.Auth{User: c.SASLUser, Pass: password}.AsMechanism()
	case "scram-sha-256":
		return scram.Auth{User: c.SASLUser, Pass: password}.AsSha256Mechanism()
	}
	return scram.Auth{User: c.SASLUser, Pass: password}.AsSha512Mechanism()
}

func (c Config) loadTLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCAFile != "" {
		roots, err := os.ReadFile(c.inDir(c.TLSCAFile))
		if err != nil {
			return nil, fmt.Errorf("cannot read the kafka roots: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(roots) {
			return nil, fmt.Errorf("cannot read the kafka roots: no certificate in %q", c.TLSCAFile)
		}
	}
	if c.TLSCertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.inDir(c.TLSCertFile), c.inDir(c.TLSKeyFile))
		if err != nil {
			return nil, fmt.Errorf("cannot read our kafka certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

func (c Config) inDir(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Dir, path)
}

// checkFiles says what is wrong with the files, before anything connects.
func (c Config) checkFiles() error {
	if len(c.Brokers) == 0 {
		return errors.New("brokers: name at least one")
	}
	_, err := c.dialing()
	return err
}
