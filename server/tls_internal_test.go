package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// writeSelfSigned writes a certificate of its own authority with a serial number to know it by.
func writeSelfSigned(tb testing.TB, cfg TLSConfig, serial int64) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		cfg.Cert: {Type: "CERTIFICATE", Bytes: der}, cfg.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
		// Files keep the machine's time, which the fake one does not move: each certificate gets a time of its own.
		if err := os.Chtimes(path, time.Time{}, time.Unix(serial, 0)); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestTheCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cfg := TLSConfig{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	synctest.Test(t, func(t *testing.T) {
		writeSelfSigned(t, cfg, 1)
		config, err := cfg.load(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		f := func(what string, want int64) {
			t.Helper()
			got, err := config.GetCertificate(nil)
			if err != nil || got.Leaf.SerialNumber.Int64() != want {
				t.Errorf("%s: got %v, %v, want certificate %d", what, got, err, want)
			}
		}
		f("at first", 1)
		writeSelfSigned(t, cfg, 2)
		f("within the time between two looks", 1)
		time.Sleep(recheck)
		f("after it", 2)
		if err := os.WriteFile(cfg.Key, []byte("half a key"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheck)
		f("while it cannot be read", 2)
		writeSelfSigned(t, cfg, 3)
		time.Sleep(recheck)
		f("when it can be read again", 3)
	})
}
