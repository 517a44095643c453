package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/feed"
	"pitboss/features/states"
	"pitboss/features/timeline"
	"pitboss/journal"
	"pitboss/server"
)

// Config is the one configuration file. Unknown keys are errors; relative paths start at the file's directory.
type Config struct {
	// DataDir holds the journal, the state and the bundles in use. One process at a time. Default pitboss-data.
	DataDir string `yaml:"data_dir"`
	// MasterKeyFile holds the key that wraps the journal's keys: 64 hex digits, readable by the owner alone. Made by
	// `pitboss keys new`; without it nothing in data_dir can be read. Default pitboss-master.key.
	MasterKeyFile string `yaml:"master_key_file"`
	// Durability is what an answer waits for: write (default: survives the death of the process) or disk (survives the
	// death of the machine; costs an fsync a batch).
	Durability string `yaml:"durability"`
	// Bundle is the directory of the model bundle that decides. Empty: no model, every decision is the default outcome.
	// POST /v1/admin/bundle:reload reads it again without a restart.
	Bundle string `yaml:"bundle"`
	// FeatureSet is a feature set to keep when there is no bundle. A bundle has its own.
	FeatureSet string `yaml:"feature_set"`
	// NextFeatureSet is a further set to keep, beside the bundle's or FeatureSet: that of the next bundle, whose new groups
	// are then backfilled before it decides. Empty: none.
	NextFeatureSet string `yaml:"next_feature_set"`
	// EntityKinds are kinds beyond the built-in gaming set. Add at the end only: their numbers are on disk.
	EntityKinds []features.KindConfig `yaml:"entity_kinds"`
	// Edge says whose events are accepted and what they are enriched with.
	Edge edge.Config `yaml:"edge"`
	// Journal sizes the log.
	Journal JournalConfig `yaml:"journal"`
	// Engine sizes the feature store.
	Engine features.EngineConfig `yaml:"engine"`
	// Timeline says what is kept of what producers did not send, as values and figures of the present.
	Timeline timeline.LiveConfig `yaml:"timeline"`
	// State is where entities rest on disk.
	State states.BadgerConfig `yaml:"state"`
	// Server listens.
	Server server.Config `yaml:"server"`
	// Kafka is read when it has brokers.
	Kafka feed.Config `yaml:"kafka"`
	// ONNXRuntime runs the models of bundles whose manifest asks for it.
	ONNXRuntime ONNXRuntimeConfig `yaml:"onnxruntime"`
	// Profiling sends profiles to Pyroscope when it has a server.
	Profiling ProfilingConfig `yaml:"profiling"`
	// Log says how much is logged.
	Log LogConfig `yaml:"log"`
	// MemoryLimit is the Go runtime's soft memory limit, in bytes. Default 0: three quarters of the machine's memory.
	MemoryLimit int64 `yaml:"memory_limit"`

	// dir is where relative paths start.
	dir string
}

// JournalConfig is the part of journal.Config that an operator sets.
type JournalConfig struct {
	// SegmentBytes is the size at which a segment is finished and compressed. Default 64 MiB.
	SegmentBytes int64 `yaml:"segment_bytes"`
	// SyncEvery is the longest time from a write to its fsync: what a power cut may take back. Default 10ms.
	SyncEvery time.Duration `yaml:"sync_every"`
	// KeepBytes and KeepFor bound what is kept of the log. Default 0: everything.
	KeepBytes int64         `yaml:"keep_bytes"`
	KeepFor   time.Duration `yaml:"keep_for"`
	// KeepAtLeast keeps what is younger, whatever KeepBytes says. Default 0: KeepBytes alone decides. 720h keeps what a
	// correction may still take back.
	KeepAtLeast time.Duration `yaml:"keep_at_least"`
	// AcceptUnsyncedLoss lets a journal open that a power cut tore in the middle of what was never fsynced. Default
	// false: refuse, so that a person decides.
	AcceptUnsyncedLoss bool `yaml:"accept_unsynced_loss"`
}

// ProfilingConfig is for continuous profiling.
type ProfilingConfig struct {
	// PyroscopeServer is the URL of a Pyroscope server. Default empty: off.
	PyroscopeServer string `yaml:"pyroscope_server"`
	// Application is the name profiles go under. Default pitboss.
	Application string `yaml:"application"`
}

// LogConfig is for logs.
type LogConfig struct {
	// Level is debug, info (default), warn or error.
	Level string `yaml:"level"`
	// Format is text (default) or json.
	Format string `yaml:"format"`
}

const (
	durabilityWrite = "write"
	durabilityDisk  = "disk"
)

// DefaultConfig is the configuration of an empty file.
func DefaultConfig() Config {
	j := journal.DefaultConfig()
	return Config{
		DataDir:       "pitboss-data",
		MasterKeyFile: "pitboss-master.key",
		Durability:    durabilityWrite,
		Edge:          edge.DefaultConfig(),
		Journal:       JournalConfig{SegmentBytes: j.SegmentBytes, SyncEvery: j.SyncEvery},
		Engine:        features.DefaultEngineConfig(),
		Timeline:      timeline.DefaultLiveConfig(),
		State:         states.DefaultBadgerConfig(),
		Server:        server.DefaultConfig(),
		Kafka:         feed.DefaultConfig(),
		ONNXRuntime:   defaultONNXRuntime(),
		Profiling:     ProfilingConfig{Application: "pitboss"},
		Log:           LogConfig{Level: "info", Format: "text"},
	}
}

// Validate checks everything that needs no other file. Each error starts with the path of its key.
func (c *Config) Validate() error {
	kinds, err := features.NewKinds(c.EntityKinds)
	if err != nil {
		return fmt.Errorf("entity_kinds: %w", err)
	}
	c.Edge.Kinds, c.Engine.Kinds = kinds, kinds
	return errors.Join(
		need("data_dir", c.DataDir), need("master_key_file", c.MasterKeyFile),
		oneOf("durability", c.Durability, durabilityWrite, durabilityDisk),
		oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error"),
		oneOf("log.format", c.Log.Format, "text", "json"),
		section("edge", c.Edge.Validate()),
		c.Journal.validate(),
		section("engine", c.Engine.Validate()), section("timeline", c.Timeline.Validate()),
		section("state", c.State.Validate()),
		section("server", c.Server.Validate()),
		section("kafka", c.Kafka.Validate()),
		section("onnxruntime", c.ONNXRuntime.Validate()),
		c.validateTogether(),
	)
}

// section puts a section's name before each of its errors.
func section(name string, err error) error {
	if err == nil {
		return nil
	}
	var all []error
	for _, e := range flatten(err) {
		all = append(all, fmt.Errorf("%s.%w", name, e))
	}
	return errors.Join(all...)
}

// config is the journal's whole configuration, but for where it lies and its key.
func (c *JournalConfig) config() journal.Config {
	j := journal.DefaultConfig()
	j.SegmentBytes, j.SyncEvery = c.SegmentBytes, c.SyncEvery
	j.KeepBytes, j.KeepFor, j.KeepAtLeast = c.KeepBytes, c.KeepFor, c.KeepAtLeast
	j.AcceptUnsyncedLoss = c.AcceptUnsyncedLoss
	return j
}

// retention says what is kept of the log, for a person.
func (c *JournalConfig) retention() string {
	var limits []string
	if c.KeepBytes > 0 {
		limits = append(limits, fmt.Sprintf("while all are larger than %d bytes", c.KeepBytes))
	}
	if c.KeepFor > 0 {
		limits = append(limits, fmt.Sprintf("once older than %v", c.KeepFor))
	}
	if limits == nil {
		return "nothing is ever removed; set journal.keep_bytes or keep_for before the disk is full"
	}
	text := fmt.Sprintf("segments of %d bytes are removed %s", c.SegmentBytes, strings.Join(limits, " or "))
	switch {
	case c.KeepAtLeast > 0:
		text += fmt.Sprintf(", never before %v", c.KeepAtLeast)
	case c.KeepBytes > 0 || c.KeepFor < correctionBound:
		text += "; a correction whose original is gone changes nothing: journal.keep_at_least 720h keeps originals for as long as they can be corrected"
	}
	return text
}

// correctionBound is how long after an event it may be corrected.
const correctionBound = 30 * 24 * time.Hour

func (c *JournalConfig) validate() error {
	j := c.config()
	j.Dir, j.MasterKey = ".", make([]byte, masterKeyBytes) // both come later, and are checked where they come from
	return j.Validate()
}

// validateTogether checks what no section can check alone.
func (c *Config) validateTogether() error {
	var errs []error
	known := func(path, tenant string) {
		if _, ok := c.Edge.Tenants[tenant]; !ok {
			errs = append(errs, fmt.Errorf("%s: no tenant %q in edge.tenants", path, tenant))
		}
	}
	for i, tenant := range c.Kafka.Tenants {
		known(fmt.Sprintf("kafka.tenants[%d]", i), tenant)
	}
	for i, k := range c.Server.Keys {
		known(fmt.Sprintf("server.keys[%d].tenant", i), k.Tenant)
	}
	for i, cert := range c.Server.Certificates {
		known(fmt.Sprintf("server.certificates[%d].tenant", i), cert.Tenant)
	}
	if c.Bundle != "" && c.FeatureSet != "" {
		errs = append(errs, errors.New("feature_set: the bundle has its own; give one or the other"))
	}
	if c.MemoryLimit < 0 {
		errs = append(errs, fmt.Errorf("memory_limit: %d is negative; 0 is three quarters of the machine's", c.MemoryLimit))
	}
	if u, err := url.Parse(c.Profiling.PyroscopeServer); err != nil || c.Profiling.PyroscopeServer != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		errs = append(errs, fmt.Errorf("profiling.pyroscope_server: %q is no URL, such as http://127.0.0.1:4040", c.Profiling.PyroscopeServer))
	}
	return errors.Join(errs...)
}

// LoadConfig reads a configuration file over the defaults. Errors name the file, line and column.
func LoadConfig(path string) (*Config, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return parseConfig(data, path)
}

func parseConfig(data []byte, path string) (*Config, error) {
	cfg := DefaultConfig()
	r := configReader{file: path, at: map[string]*token.Token{}}
	if err := r.read(data, &cfg); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("cannot find the directory of %q: %w", path, err)
	}
	cfg.setDir(abs)
	if err := cfg.Validate(); err != nil {
		r.refuseInvalid(err)
		return nil, r.err()
	}
	return &cfg, nil
}

// setDir says where relative paths start.
func (c *Config) setDir(dir string) {
	c.dir, c.Edge.Dir, c.Kafka.Dir = dir, dir, dir
	tls := &c.Server.TLS
	tls.Cert, tls.Key, tls.ClientCA = c.path(tls.Cert), c.path(tls.Key), c.path(tls.ClientCA)
}

// path makes a path of the configuration absolute.
func (c *Config) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}

func need(key, value string) error {
	if value == "" {
		return fmt.Errorf("%s: must not be empty", key)
	}
	return nil
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	allowed = slices.DeleteFunc(slices.Clone(allowed), func(word string) bool { return word == "" })
	return fmt.Errorf("%s: %q is not one of %s", key, value, strings.Join(allowed, ", "))
}

// keysOf lists the dotted keys of a configuration struct, for the test that the example file names them all.
func keysOf(t reflect.Type, prefix string) []string {
	var keys []string
	for field := range t.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if tag == "" || tag == "-" {
			continue
		}
		if ft := field.Type; ft.Kind() == reflect.Struct {
			keys = append(keys, keysOf(ft, prefix+tag+".")...)
			continue
		}
		keys = append(keys, prefix+tag)
	}
	return keys
}
