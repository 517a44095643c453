package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/feed"
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
	Bundle string `yaml:"bundle"`
	// FeatureSet is a feature set to keep when there is no bundle. A bundle has its own.
	FeatureSet string `yaml:"feature_set"`
	// EntityKinds are kinds beyond the built-in gaming set. Add at the end only: their numbers are on disk.
	EntityKinds []features.KindConfig `yaml:"entity_kinds"`
	// Edge says whose events are accepted and what they are enriched with.
	Edge edge.Config `yaml:"edge"`
	// Journal sizes the log.
	Journal JournalConfig `yaml:"journal"`
	// Engine sizes the feature store.
	Engine features.EngineConfig `yaml:"engine"`
	// Server listens.
	Server server.Config `yaml:"server"`
	// Kafka is read when it has brokers.
	Kafka feed.Config `yaml:"kafka"`
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
		Server:        server.DefaultConfig(),
		Kafka:         feed.DefaultConfig(),
		Profiling:     ProfilingConfig{Application: "pitboss"},
		Log:           LogConfig{Level: "info", Format: "text"},
	}
}

// Validate checks everything that needs no other file. Each error starts with the path of its key.
func (c *Config) Validate() error {
	section := func(name string, err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	kinds, err := features.NewKinds(c.EntityKinds)
	if err != nil {
		return section("entity_kinds", err)
	}
	c.Edge.Kinds, c.Engine.Kinds = kinds, kinds
	return errors.Join(
		need("data_dir", c.DataDir), need("master_key_file", c.MasterKeyFile),
		oneOf("durability", c.Durability, durabilityWrite, durabilityDisk),
		oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error"),
		oneOf("log.format", c.Log.Format, "text", "json"),
		section("edge", c.Edge.Validate()),
		section("engine", c.Engine.Validate()),
		section("server", c.Server.Validate()),
		section("kafka", c.Kafka.Validate()),
		c.validateTogether(),
	)
}

// validateTogether checks what no section can check alone.
func (c *Config) validateTogether() error {
	for _, tenant := range c.Kafka.Tenants {
		if _, ok := c.Edge.Tenants[tenant]; !ok {
			return fmt.Errorf("kafka.tenants: no tenant %q in edge.tenants", tenant)
		}
	}
	for i, k := range c.Server.Keys {
		if _, ok := c.Edge.Tenants[k.Tenant]; !ok {
			return fmt.Errorf("server.keys: key %d is of tenant %q, which is not in edge.tenants", i, k.Tenant)
		}
	}
	for i, cert := range c.Server.Certificates {
		if _, ok := c.Edge.Tenants[cert.Tenant]; !ok {
			return fmt.Errorf("server.certificates: certificate %d is of tenant %q, which is not in edge.tenants", i, cert.Tenant)
		}
	}
	if c.Bundle != "" && c.FeatureSet != "" {
		return errors.New("feature_set: the bundle has its own; give one or the other")
	}
	return nil
}

// LoadConfig reads a configuration file over the defaults. Errors name the file, line and column.
func LoadConfig(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	cfg, err := parseConfig(data, path)
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

func parseConfig(data []byte, path string) (*Config, error) {
	cfg := DefaultConfig()
	if len(strings.TrimSpace(string(data))) > 0 {
		if err := yaml.UnmarshalWithOptions(data, &cfg, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("%s:%s", path, strings.TrimPrefix(yaml.FormatError(err, false, true), "["))
		}
	}
	abs, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("cannot find the directory of %q: %w", path, err)
	}
	cfg.dir, cfg.Edge.Dir = abs, abs
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", place(data, path, err), err)
	}
	return &cfg, nil
}

// place finds the line and column of the key that a validation error starts with, as far as the file has it.
func place(data []byte, path string, err error) string {
	key, _, _ := strings.Cut(err.Error(), ":")
	file, parseErr := parser.ParseBytes(data, 0)
	if parseErr != nil || len(file.Docs) == 0 {
		return path
	}
	node := file.Docs[0].Body
	var found ast.Node
	for _, part := range strings.Split(key, ".") {
		m, ok := node.(*ast.MappingNode)
		if !ok {
			break
		}
		for _, v := range m.Values {
			if v.Key.String() == part {
				found, node = v.Key, v.Value
			}
		}
	}
	if found == nil {
		return path
	}
	at := found.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", path, at.Line, at.Column)
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
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fmt.Errorf("%s: %q is not one of %s", key, value, strings.Join(allowed, ", "))
}

// keysOf lists the dotted keys of a configuration struct, for the test that the example file names them all.
func keysOf(t reflect.Type, prefix string) []string {
	var keys []string
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if tag == "" || tag == "-" {
			continue
		}
		if ft := t.Field(i).Type; ft.Kind() == reflect.Struct {
			keys = append(keys, keysOf(ft, prefix+tag+".")...)
			continue
		}
		keys = append(keys, prefix+tag)
	}
	return keys
}
