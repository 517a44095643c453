package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"

	"pitboss/examples/casino"
	"pitboss/features/edge"
	"pitboss/server"
	"pitboss/sim"
)

// demoFlags are what `pitboss demo` can be told.
type demoFlags struct {
	players int
	rate    float64
	seed    uint64
	dir     string
	events  uint64
}

const (
	demoTenant  = "demo"
	demoHistory = 12 * time.Hour
	// demoDuration is how long the casino is open. Frauds begin evenly over it.
	demoDuration = 3 * 24 * time.Hour
)

func newDemoCmd() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a simulated casino, a broker and the server in one process",
		Long: `Starts an in-process Kafka broker, the server, and a simulated casino with bots and bonus rings in it, and shows the
decisions with their reasons as they are made. Needs nothing else; what it keeps is in a temporary directory and is
gone with it. Ctrl-C ends it.

The model was trained on simulated players, and all that is shown is of simulated players.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.players, "players", 1500, "accounts of the casino")
	fl.Float64Var(&f.rate, "rate", 600, "events a second while the casino catches up with now")
	fl.Uint64Var(&f.seed, "seed", 7, "decides everything that chance decides")
	fl.StringVar(&f.dir, "dir", "", "keep the data in this directory, which must not exist; default: a temporary one")
	fl.Uint64Var(&f.events, "events", 0, "end after this many events; 0 is no limit")
	return cmd
}

func runDemo(ctx context.Context, out, stderr io.Writer, f demoFlags) (err error) {
	began := time.Now()
	dir, cleanUp, err := demoDir(f.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanUp()) }()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "pitboss.events", "pitboss.events.dead"))
	if err != nil {
		return fmt.Errorf("cannot start the in-process broker: %w", err)
	}
	defer broker.Close()
	cfg, key, err := demoConfig(dir, broker.ListenAddrs())
	if err != nil {
		return err
	}
	a, err := openApp(ctx, cfg, newLogger(LogConfig{Level: "warn"}, stderr), appOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	s, err := newService(a)
	if err != nil {
		return err
	}
	start := time.Now().UTC().Add(-demoHistory).Truncate(time.Second)
	casinoCfg := sim.DefaultConfig()
	casinoCfg.Seed, casinoCfg.Players, casinoCfg.Start, casinoCfg.Duration, casinoCfg.Tenant = f.seed, f.players, start, demoDuration, demoTenant
	// A busy casino with far more fraud than a real one, so that a minute shows some; the model was trained on as much.
	casinoCfg.Activity, casinoCfg.NewShare = 4, .5
	casinoCfg.Mix.Frauds = demoFrauds()
	d := &demo{out: out, key: key, flags: f, cfg: casinoCfg, began: began, brokers: broker.ListenAddrs()}

	// The demo ends with its casino, its casino with Ctrl-C; the server outlives the casino, so that nobody is cut off.
	serverCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group errgroup.Group
	listening := make(chan server.Listeners, 1)
	group.Go(func() error {
		defer close(listening)
		return s.run(serverCtx, func(l server.Listeners) { listening <- l })
	})
	if l, ok := <-listening; ok {
		err = d.run(ctx, l)
	}
	stop()
	err = errors.Join(err, group.Wait())
	if err == nil {
		d.goodbye()
	}
	return err
}

// demoFrauds are the two kinds that the demo's bundle was trained on.
func demoFrauds() [sim.Typologies]sim.Fraud {
	every := sim.Range{Min: 0, Max: 1}
	return [sim.Typologies]sim.Fraud{
		sim.MetronomeBot: {Share: .015, Mimicry: every}, sim.BonusRing: {Share: .08, Mimicry: every},
	}
}

// demoDir makes the demo's directory and says how to take it away.
func demoDir(dir string) (string, func() error, error) {
	if dir == "" {
		temp, err := os.MkdirTemp("", "pitboss-demo-")
		return temp, func() error { return os.RemoveAll(temp) }, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("cannot make the demo's directory: %w", err)
	}
	abs, err := filepath.Abs(dir)
	return abs, func() error { return nil }, err
}

// demoConfig writes a whole configuration into dir, as an operator would, and loads it.
func demoConfig(dir string, brokers []string) (*Config, string, error) {
	if err := unpackCasino(dir); err != nil {
		return nil, "", err
	}
	if err := writeMasterKey(filepath.Join(dir, "master.key")); err != nil {
		return nil, "", err
	}
	if err := edge.WriteKeys(filepath.Join(dir, "alias-keys.yaml"), demoTenant); err != nil {
		return nil, "", err
	}
	key, entry, err := server.NewKey("demo", demoTenant, "demo", "admin")
	if err != nil {
		return nil, "", err
	}
	httpAddress, err := freeAddress("127.0.0.1:8080")
	if err != nil {
		return nil, "", err
	}
	grpcAddress, err := freeAddress("127.0.0.1:9090")
	if err != nil {
		return nil, "", err
	}
	text := fmt.Sprintf(`# Written by pitboss demo.
data_dir: data
master_key_file: master.key
bundle: bundle
edge:
  tenants:
    %s: {base_currency: EUR, rates_file: rates.yaml}
  keys_file: alias-keys.yaml
server:
  http: %s
  grpc: %s
  public_metrics: true
  deadlines: {drain_wait: 0s}
  keys:
    - {id: %s, secret_sha256: %s, tenant: %s, name: demo, roles: [admin]}
kafka:
  brokers: [%s]
log: {level: warn}
`, demoTenant, httpAddress, grpcAddress, entry.ID, entry.SecretSHA256, demoTenant,
		strings.Join(brokers, ", "))
	path := filepath.Join(dir, "pitboss.yaml")
	if err = os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, "", fmt.Errorf("cannot write the demo's configuration: %w", err)
	}
	cfg, err := LoadConfig(path)
	return cfg, key, err
}

// unpackCasino writes the embedded example into dir.
func unpackCasino(dir string) error {
	return fs.WalkDir(casino.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		data, err := casino.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o600)
	})
}
