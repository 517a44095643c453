package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/registry"
)

func newCheckCmd() *cobra.Command {
	var config, set, bundle string
	cmd := &cobra.Command{
		Use:   "check --config FILE | --set SET.yaml | --bundle DIR",
		Short: "Check a configuration and all that it names, without starting",
		Long: `Reads what a server would read at its start, refuses what it would refuse, and touches no data directory: the
configuration, keys, rates, lists, the bundle (its hashes and golden rows are computed again) and its feature set.

--set and --bundle check a feature set or a bundle alone, with the entity kinds and lists of --config where that is given.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" && set == "" && bundle == "" {
				return &codedError{exitUsage, errors.New("say what to check: --config FILE, --set SET.yaml or --bundle DIR")}
			}
			return runCheck(cmd.OutOrStdout(), config, set, bundle)
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration file")
	cmd.Flags().StringVar(&set, "set", "", "feature set")
	cmd.Flags().StringVar(&bundle, "bundle", "", "bundle directory")
	return cmd
}

func runCheck(out io.Writer, config, set, bundle string) error {
	cfg, sources, err := checkConfig(out, config, &set, &bundle)
	if err != nil {
		return err
	}
	if set != "" {
		s, err := loadSet(set, cfg.Engine.Kinds, sources)
		if err != nil {
			return err
		}
		if err := cfg.checkServices(s); err != nil && bundle == "" { // a bundle's set is served before
			return err
		}
		fmt.Fprintf(out, "feature set %s: ok, %d features\n", set, len(s.Features))
		for _, f := range s.Features {
			fmt.Fprintf(out, "  %-40s %-10s %-10s %s%s\n", f.Name, f.Aggregate, f.Window, f.Contract, f.Expression)
			if f.Unlowered != "" {
				fmt.Fprintf(out, "  %-40s runs in cel-go, microseconds instead of nanoseconds: %s is not lowered\n", "", f.Unlowered)
			}
		}
	}
	if bundle != "" {
		return checkBundle(out, bundle, cfg, sources)
	}
	return nil
}

// checkBundle says of a bundle what a start would: that it is whole, what its model is, and whether it may decide.
func checkBundle(out io.Writer, bundle string, cfg *Config, sources []features.Source) error {
	b, err := registry.Load(bundle, registry.Config{Kinds: cfg.Engine.Kinds, Sources: sources, ONNXRuntime: cfg.onnxRuntime()})
	if err != nil {
		return err
	}
	if err := cfg.checkServices(b.Set); err != nil {
		return err
	}
	if err := b.Servable(cfg.ONNXRuntime.MaxRow); err != nil {
		return err
	}
	info := b.Model.Info()
	fmt.Fprintf(out, "bundle %s: ok, %s %s, hash %s\n", bundle, b.Name, b.Version, hex.EncodeToString(b.Hash[:8]))
	explain := fmt.Sprintf("%.0f us to explain a row", info.Cost.ExplainMicros)
	if info.Unexplainable != "" {
		explain = "no reasons from it: " + info.Unexplainable
	}
	parts := fmt.Sprintf("%d trees", info.Trees)
	if info.Backend != "" {
		parts = "by " + info.Backend
	}
	fmt.Fprintf(out, "  model: %s %s, %s, %d features; about %.0f us to score a row, %s\n",
		info.Format, info.FormatVersion, parts, len(info.Features), info.Cost.PredictMicros, explain)
	if info.Tolerance > 0 {
		fmt.Fprintf(out, "  margins: the same to %g from one machine to another; its records replay to that\n", info.Tolerance)
	}
	fmt.Fprintf(out, "  calibration %s, texts in %s", b.Calibration.Kind(), strings.Join(b.Languages, ", "))
	if b.Profile != nil {
		fmt.Fprintf(out, ", percentiles among %d training rows", b.Profile.Rows)
	}
	if b.Reference != nil {
		fmt.Fprintf(out, ", %d reference rows", len(b.Reference))
	}
	fmt.Fprintln(out)
	if b.Leaves.Served {
		fmt.Fprintf(out, "  golden rows: %d, scored by an independent implementation too, with the same bits\n", b.Leaves.Rows)
	} else {
		fmt.Fprintf(out, "  golden rows: scored here alone, not by an independent implementation (%s)\n", b.Leaves.Reason)
	}
	return nil
}

// checkConfig checks the configuration, where one is given, and gives what feature sets may refer to. The set and the
// bundle that the configuration names are checked unless others were asked for.
func checkConfig(out io.Writer, config string, set, bundle *string) (*Config, []features.Source, error) {
	if config == "" {
		cfg := DefaultConfig()
		var err error
		cfg.Engine.Kinds, err = features.NewKinds(nil)
		return &cfg, []features.Source{features.ListHits{}, idleTimeline()}, err
	}
	cfg, err := LoadConfig(config)
	if err != nil {
		return nil, nil, err
	}
	if _, err = readMasterKey(cfg.path(cfg.MasterKeyFile)); err != nil {
		return nil, nil, err
	}
	e, err := edge.New(cfg.Edge)
	if err != nil {
		return nil, nil, fmt.Errorf("edge: %w", err)
	}
	if err := checkCertificates(cfg); err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(out, "configuration %s: ok, tenants %v, addresses by %s, %d lists\n", config, e.Tenants(), e.AddressVersion(), len(e.Lists()))
	fmt.Fprintf(out, "journal: %s\n", cfg.Journal.retention())
	if *set == "" && *bundle == "" {
		*set, *bundle = cfg.path(cfg.FeatureSet), cfg.path(cfg.Bundle)
	}
	if next := cfg.path(cfg.NextFeatureSet); next != "" {
		s, err := loadSet(next, cfg.Engine.Kinds, featureSources(e))
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(out, "next feature set %s: ok, %d features\n", next, len(s.Features))
	}
	return cfg, featureSources(e), nil
}

// checkServices refuses feature services that name what the feature set that is served does not have: their callers would
// hear of it one by one.
func (c *Config) checkServices(set *features.Set) error {
	var errs []error
	for _, service := range slices.Sorted(maps.Keys(c.Server.FeatureServices)) {
		for _, name := range c.Server.FeatureServices[service] {
			if !slices.ContainsFunc(set.Features, func(f features.FeatureInfo) bool { return f.Name == name }) {
				errs = append(errs, fmt.Errorf("server.feature_services.%s: feature set %s %s has no feature %q", service, set.Name, set.Version, name))
			}
		}
	}
	return errors.Join(errs...)
}

// checkCertificates reads the certificates and passwords that a start would read.
func checkCertificates(cfg *Config) error {
	pair := func(key, cert, private string) error {
		if cert == "" {
			return nil
		}
		if _, err := tls.LoadX509KeyPair(cfg.path(cert), cfg.path(private)); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
	authorities := func(key, file string) error {
		if file == "" {
			return nil
		}
		pem, err := os.ReadFile(cfg.path(file))
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: no certificate in %q", key, cfg.path(file))
		}
		return nil
	}
	errs := []error{
		pair("server.tls", cfg.Server.TLS.Cert, cfg.Server.TLS.Key), authorities("server.tls.client_ca", cfg.Server.TLS.ClientCA),
		pair("kafka.tls_cert_file", cfg.Kafka.TLSCertFile, cfg.Kafka.TLSKeyFile), authorities("kafka.tls_ca_file", cfg.Kafka.TLSCAFile),
	}
	registry := cfg.Kafka.SchemaRegistry
	errs = append(errs, authorities("kafka.schema_registry.tls_ca_file", registry.TLSCAFile))
	for _, secret := range []struct{ key, file string }{
		{"kafka.sasl_password_file", cfg.Kafka.SASLPasswordFile},
		{"kafka.schema_registry.password_file", registry.PasswordFile},
		{"kafka.schema_registry.token_file", registry.TokenFile},
	} {
		if secret.file == "" {
			continue
		}
		if _, err := os.ReadFile(cfg.path(secret.file)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", secret.key, err))
		}
	}
	return errors.Join(errs...)
}
