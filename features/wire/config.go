package wire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The formats of a topic.
const (
	// FormatAuto is JSON where the value starts with "{", the Confluent wire format where it starts with a zero byte (no
	// other format that is told apart here can) and a registry is configured, and Protobuf otherwise.
	FormatAuto = "auto"
	// FormatJSON is the proto3 JSON mapping of pb.Event.
	FormatJSON = "json"
	// FormatProtobuf is pb.Event.
	FormatProtobuf = "protobuf"
	// FormatAvro is Avro's binary encoding by exactly proto/pitboss/v1/event.avsc: without a registry nothing tells of
	// another schema.
	FormatAvro = "avro"
	// FormatConfluent is the Confluent wire format and nothing else.
	FormatConfluent = "confluent"
)

// RegistryConfig says where schemas are looked up. It speaks the API of Confluent's registry, which others have as well.
type RegistryConfig struct {
	// URLs are tried in turn, such as http://registry:8081, or http://apicurio:8080/apis/ccompat/v7. Empty: no registry.
	URLs []string `yaml:"urls"`
	// User and PasswordFile are for basic authentication. The file holds the password alone.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	// TokenFile holds a bearer token alone, in place of user and password.
	TokenFile string `yaml:"token_file"`
	// TLSCAFile has the roots in place of the system's, in PEM.
	TLSCAFile string `yaml:"tls_ca_file"`
	// MaxSchemas bounds the schemas kept in memory; beyond, the one unused for longest is looked up again. Default 1000.
	MaxSchemas int `yaml:"max_schemas"`
	// Timeout is how long the registry may take to answer. Default 5s.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultRegistryConfig is a configuration without a registry.
func DefaultRegistryConfig() RegistryConfig {
	return RegistryConfig{MaxSchemas: 1000, Timeout: 5 * time.Second}
}

// Validate checks what can be checked without a file.
func (c RegistryConfig) Validate() error {
	if len(c.URLs) == 0 {
		if c.User != "" || c.TokenFile != "" {
			return errors.New("urls: needed where user or token_file is given")
		}
		return nil
	}
	for i, text := range c.URLs {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("urls[%d]: no URL, such as http://127.0.0.1:8081", i)
		}
		if u.User != nil {
			return fmt.Errorf("urls[%d]: holds a password, which would be logged: give user and password_file", i)
		}
	}
	switch {
	case (c.User == "") != (c.PasswordFile == ""):
		return errors.New("user and password_file: give both or neither")
	case c.User != "" && c.TokenFile != "":
		return errors.New("token_file: give it, or user and password_file, not both")
	case c.MaxSchemas < 1 || c.MaxSchemas > 100_000:
		return fmt.Errorf("max_schemas: %d is not in 1 to 100000", c.MaxSchemas)
	case c.Timeout <= 0:
		return fmt.Errorf("timeout: %v must be more than 0", c.Timeout)
	}
	return nil
}

// Config is what a Decoder needs.
type Config struct {
	// Formats are the formats by topic; a topic that is not in it is FormatAuto.
	Formats  map[string]string
	Registry RegistryConfig
	// Dir is where relative paths start.
	Dir string
}

// ValidateFormats checks the formats of topics.
func ValidateFormats(formats map[string]string, topics []string, registry bool) error {
	for _, topic := range slices.Sorted(maps.Keys(formats)) {
		format := formats[topic]
		switch {
		case !slices.Contains(topics, topic):
			return fmt.Errorf("formats: %q is not one of topics", topic)
		case !slices.Contains([]string{FormatAuto, FormatJSON, FormatProtobuf, FormatAvro, FormatConfluent}, format):
			return fmt.Errorf("formats.%s: %q is not one of auto, json, protobuf, avro, confluent", topic, format)
		case format == FormatConfluent && !registry:
			return fmt.Errorf("formats.%s: confluent needs schema_registry.urls", topic)
		}
	}
	return nil
}

// secret reads a file that holds a secret alone. An editor's line end at the end is not of it.
func (c Config) secret(key, file string) (string, error) {
	data, err := os.ReadFile(c.inDir(file))
	if err != nil {
		return "", fmt.Errorf("schema_registry.%s: %w", key, err)
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 {
		return "", fmt.Errorf("schema_registry.%s: %q is empty", key, file)
	}
	return string(data), nil
}

// tls gives what the registry's certificate is checked by.
func (c Config) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Registry.TLSCAFile == "" {
		return config, nil
	}
	roots, err := os.ReadFile(c.inDir(c.Registry.TLSCAFile))
	if err != nil {
		return nil, fmt.Errorf("schema_registry.tls_ca_file: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("schema_registry.tls_ca_file: no certificate in %q", c.Registry.TLSCAFile)
	}
	return config, nil
}

func (c Config) inDir(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Dir, path)
}
