package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// recheck is how often a handshake looks whether the certificate's files have changed.
const recheck = 10 * time.Second

// load reads the certificates; nil where there is no TLS.
func (t TLSConfig) load(log *slog.Logger) (*tls.Config, error) {
	if !t.on() {
		return nil, nil //nolint:nilnil // no TLS is a valid answer
	}
	own := &ownCertificate{cfg: t, log: log}
	if err := own.read(); err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: own.get}
	if t.ClientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("cannot load the authorities of clients: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot load the authorities of clients: no certificate in %q", t.ClientCA)
	}
	// A certificate that is given must be good; who gives none needs an API key.
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	return cfg, nil
}

// ownCertificate is the server's certificate, read again when its files change: certificates live shorter than servers.
type ownCertificate struct {
	cfg TLSConfig
	log *slog.Logger

	mu      sync.Mutex // guards all below
	cert    *tls.Certificate
	changed time.Time
	checked time.Time
}

// read reads the files. It is called with mu held, or before anyone else knows of the certificate.
func (o *ownCertificate) read() error {
	// The time is taken before the files are read: one that changes meanwhile is read again.
	changed, err := o.modified()
	if err != nil {
		return fmt.Errorf("cannot load the server's certificate: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(o.cfg.Cert, o.cfg.Key)
	if err != nil {
		return fmt.Errorf("cannot load the server's certificate: %w", err)
	}
	o.cert, o.changed = &cert, changed
	return nil
}

// modified gives the newest change of the files.
func (o *ownCertificate) modified() (time.Time, error) {
	var newest time.Time
	for _, path := range []string{o.cfg.Cert, o.cfg.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}, err //nolint:wrapcheck // read wraps it, and *PathError names the file
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest, nil
}

// get gives the certificate for a handshake. One that cannot be read, as between the change of one file and the other,
// leaves the old one in place.
func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if now.Sub(o.checked) < recheck {
		return o.cert, nil
	}
	o.checked = now
	if changed, err := o.modified(); err == nil && changed.Equal(o.changed) {
		return o.cert, nil
	}
	if err := o.read(); err != nil {
		o.log.Warn("the server's certificate changed and cannot be read; the old one stays", "error", err)
	} else {
		o.log.Info("the server's certificate was read again")
	}
	return o.cert, nil
}
