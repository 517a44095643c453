package feed_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"pitboss/features/feed"
)

func TestConfigValidate(t *testing.T) {
	valid := func(change func(*feed.Config)) {
		t.Helper()
		cfg := feed.DefaultConfig()
		cfg.Brokers = []string{"127.0.0.1:9092"}
		change(&cfg)
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	refused := func(want string, change func(*feed.Config)) {
		t.Helper()
		cfg := feed.DefaultConfig()
		cfg.Brokers = []string{"127.0.0.1:9092"}
		change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	valid(func(*feed.Config) {})
	valid(func(c *feed.Config) { *c = feed.Config{} }) // no Kafka: nothing matters
	valid(func(c *feed.Config) { c.Instance = "" })
	valid(func(c *feed.Config) { c.SASLUser, c.SASLPasswordFile = "u", "f" })
	valid(func(c *feed.Config) { c.SASLUser, c.SASLPasswordFile, c.SASLMechanism, c.TLS = "u", "f", "plain", true })
	valid(func(c *feed.Config) { c.TLS, c.TLSCAFile, c.TLSCertFile, c.TLSKeyFile = true, "a", "b", "c" })

	refused("topics: name at least one", func(c *feed.Config) { c.Topics = nil })
	refused("topics: a name must not be empty", func(c *feed.Config) { c.Topics = []string{"a", ""} })
	refused("topics: each only once", func(c *feed.Config) { c.Topics = []string{"a", "b", "a"} })
	refused("dead_letter_topic: needed", func(c *feed.Config) { c.DeadLetterTopic = "" })
	refused("would come back for ever", func(c *feed.Config) { c.Topics = append(c.Topics, c.DeadLetterTopic) })
	refused("group: must not be empty", func(c *feed.Config) { c.Group = "" })
	refused("max_batch: 0", func(c *feed.Config) { c.MaxBatch = 0 })
	refused("max_batch: 100001", func(c *feed.Config) { c.MaxBatch = 100_001 })
	refused("advance_every: 0s", func(c *feed.Config) { c.AdvanceEvery = 0 })
	refused("retry_every: -1s", func(c *feed.Config) { c.RetryEvery = -time.Second })
	refused("timeout: 0s", func(c *feed.Config) { c.Timeout = 0 })
	refused(`start: "middle" is not one of [earliest latest]`, func(c *feed.Config) { c.Start = "middle" })
	refused(`out_of_range: "reset"`, func(c *feed.Config) { c.OutOfRange = "reset" })
	refused(`new_topic: "ignore"`, func(c *feed.Config) { c.NewTopic = "ignore" })
	refused("tls: must be true", func(c *feed.Config) { c.TLSCAFile = "ca.pem" })
	refused("tls_cert_file and tls_key_file", func(c *feed.Config) { c.TLS, c.TLSCertFile = true, "c.pem" })
	refused("sasl_user and sasl_password_file", func(c *feed.Config) { c.SASLUser = "u" })
	refused(`sasl_mechanism: "md5"`, func(c *feed.Config) { c.SASLMechanism = "md5" })
	refused("plain sends the password as it is", func(c *feed.Config) {
		c.SASLUser, c.SASLPasswordFile, c.SASLMechanism = "u", "f", "plain"
	})
}

func TestNewRefusesFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	refused := func(want string, change func(*feed.Config)) {
		t.Helper()
		cfg := feed.DefaultConfig()
		cfg.Brokers, cfg.Dir = []string{"127.0.0.1:1"}, dir
		change(&cfg)
		_, err := feed.New(cfg, nil, nil, logger(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	empty, text := write("empty", "\n"), write("text", "no certificate")
	refused("brokers: name at least one", func(c *feed.Config) { c.Brokers = nil })
	refused("cannot read the kafka password: open", func(c *feed.Config) { c.SASLUser, c.SASLPasswordFile = "u", "none" })
	refused(`"empty" is empty`, func(c *feed.Config) { c.SASLUser, c.SASLPasswordFile = "u", empty })
	refused(`no certificate in "text"`, func(c *feed.Config) { c.TLS, c.TLSCAFile = true, text })
	refused("cannot read the kafka roots: open", func(c *feed.Config) { c.TLS, c.TLSCAFile = true, "none" })
	refused("cannot read our kafka certificate", func(c *feed.Config) {
		c.TLS, c.TLSCertFile, c.TLSKeyFile = true, text, text
	})
}

// Whatever lies between us and the brokers, events come through it, and with the wrong secret none do.
func TestSecureConnections(t *testing.T) {
	pemFile, server := selfSigned(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(must(x509.ParseCertificate(server.Certificates[0].Certificate[0])))
	for _, test := range []struct {
		name   string
		fake   []kfake.Opt
		client []kgo.Opt // the test's own
		config func(*feed.Config)
		spoil  func(*feed.Config)
	}{
		{
			name: "tls", fake: []kfake.Opt{kfake.TLS(server)},
			client: []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: roots})},
			config: func(c *feed.Config) {
				c.TLS, c.TLSCAFile, c.TLSCertFile, c.TLSKeyFile = true, pemFile, pemFile, pemFile
			},
			spoil: func(c *feed.Config) { c.TLSCAFile = "" },
		},
		{
			name: "scram-sha-512", fake: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "feed", "s3cret")},
			client: []kgo.Opt{kgo.SASL(scram.Auth{User: "feed", Pass: "s3cret"}.AsSha512Mechanism())},
			config: func(c *feed.Config) { c.SASLUser, c.SASLPasswordFile = "feed", password },
			spoil:  func(c *feed.Config) { c.SASLUser = "reader" },
		},
		{
			name: "scram-sha-256", fake: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "feed", "s3cret")},
			client: []kgo.Opt{kgo.SASL(scram.Auth{User: "feed", Pass: "s3cret"}.AsSha256Mechanism())},
			config: func(c *feed.Config) {
				c.SASLUser, c.SASLPasswordFile, c.SASLMechanism = "feed", password, "scram-sha-256"
			},
			spoil: func(c *feed.Config) { c.SASLMechanism = "scram-sha-512" },
		},
		{
			name: "plain over tls",
			fake: []kfake.Opt{kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser("PLAIN", "feed", "s3cret")},
			client: []kgo.Opt{
				kgo.DialTLSConfig(&tls.Config{RootCAs: roots}), kgo.SASL(plain.Auth{User: "feed", Pass: "s3cret"}.AsMechanism()),
			},
			config: func(c *feed.Config) {
				c.TLSConfig = &tls.Config{RootCAs: roots}
				c.SASLUser, c.SASLPasswordFile, c.SASLMechanism = "feed", password, "plain"
			},
			spoil: func(c *feed.Config) { c.SASLUser = "reader" },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake, err := kfake.NewCluster(append(test.fake, kfake.NumBrokers(1))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(fake.Close)
			r := newRig(t, dial(t, fake.ListenAddrs(), test.client...))
			r.kafka.create(t, 1, r.topic())
			r.kafka.send(t, r.bets(0, 3, 1)...)
			test.config(&r.cfg)
			right := r.cfg
			r.cfg.Timeout = 300 * time.Millisecond
			test.spoil(&r.cfg)
			run := r.start()
			run.state(feed.StateAway)
			run.stop()
			r.cfg = right
			run = r.start()
			r.caughtUp()
			r.wantBets(3)
			run.stop()
		})
	}
}

// selfSigned makes a certificate for 127.0.0.1, and a PEM file of it with its key.
func selfSigned(t *testing.T) (string, *tls.Config) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafka of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})...)
	file := filepath.Join(t.TempDir(), "kafka.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &tls.Config{Certificates: []tls.Certificate{must(tls.X509KeyPair(text, text))}}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
