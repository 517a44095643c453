package feed

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"pitboss/features/wire"
)

// Config says which Kafka to read and what to do where reading cannot simply go on.
type Config struct {
	// Brokers are the seed addresses, host:port. Empty: no Kafka; events come by call alone.
	Brokers []string `yaml:"brokers"`
	// Topics hold the events: pb.Event as Protobuf, JSON or Avro, by the record's content-type header or else by Formats. The record's timestamp is received_at; give a topic whose producers' clocks are not
	// to be trusted message.timestamp.type=LogAppendTime. Default [pitboss.events].
	Topics []string `yaml:"topics"`
	// Formats says how a topic's events are written where the record does not: auto (default), json, protobuf, avro or
	// confluent. auto takes a value that starts with "{" for JSON, one that starts with a zero byte for the Confluent wire
	// format if there is a schema registry, and any other for Protobuf.
	Formats map[string]string `yaml:"formats"`
	// SchemaRegistry has the schemas of records in the Confluent wire format. While it does not answer, reading waits.
	SchemaRegistry wire.RegistryConfig `yaml:"schema_registry"`
	// DeadLetterTopic gets what cannot be decoded or accepted, with the reason in headers. Where it is missing it is
	// made at the start, with the brokers' defaults. The values are as they came, so give the topic the same protection
	// as the source. Default pitboss.events.dead.
	DeadLetterTopic string `yaml:"dead_letter_topic"`
	// Group is the consumer group, used for assignment and for lag monitors; what was read is known from the journal
	// alone. Default pitboss.
	Group string `yaml:"group"`
	// Instance is this process's fixed name in the group (group.instance.id). With it a start after a crash reads at
	// once, and a second process under the same name puts the first one out, which says so, instead of silently taking
	// half of its partitions. Empty: no fixed name; after a crash reading waits until Kafka gives the dead member up, 45
	// seconds. Default pitboss.
	Instance string `yaml:"instance"`
	// Tenants may send over these topics; an event of another tenant is a dead letter. Default: every configured one.
	Tenants []string `yaml:"tenants"`
	// Start is where a topic starts that was never read: earliest (default), or latest, which is the end at the first
	// look. Partitions and topics that appear later are read from their beginning.
	Start string `yaml:"start"`
	// OutOfRange is what to do when the next offset is no longer in the topic, or its records were lost: refuse (default:
	// stop reading, serve calls, say so), earliest (go on with the oldest record there is) or latest (with the next one
	// that comes). Set it for one start, knowing what is skipped.
	OutOfRange string `yaml:"out_of_range"`
	// NewTopic is what to do when a topic was deleted and made anew: refuse (default) or restart, which reads the new one
	// from Start. Set it for one start.
	NewTopic string `yaml:"new_topic"`
	// MaxBatch is the number of records applied with one wait for the journal. Default 2000; more is little faster, and
	// longer until a revoked partition is free.
	MaxBatch int `yaml:"max_batch"`
	// AdvanceEvery is how often offsets are noted in the journal that no event carries (duplicates, dead letters), and how
	// often the brokers are looked at. Default 1s.
	AdvanceEvery time.Duration `yaml:"advance_every"`
	// RetryEvery is the pause before the engine is asked again when it could not take a batch. Default 200ms.
	RetryEvery time.Duration `yaml:"retry_every"`
	// Timeout is how long the brokers may take to answer before they count as away, and how long a stop may take to
	// finish what was read. Default 5s.
	Timeout time.Duration `yaml:"timeout"`

	// TLS switches transport security on, with the system's roots.
	TLS bool `yaml:"tls"`
	// TLSCAFile has the roots in place of the system's, in PEM.
	TLSCAFile string `yaml:"tls_ca_file"`
	// TLSCertFile and TLSKeyFile are our own certificate and its key, in PEM, where the brokers ask for one.
	TLSCertFile string `yaml:"tls_cert_file"`
	TLSKeyFile  string `yaml:"tls_key_file"`
	// SASLMechanism is scram-sha-512 (default), scram-sha-256 or plain. plain sends the password itself and needs tls.
	SASLMechanism string `yaml:"sasl_mechanism"`
	// SASLUser and SASLPasswordFile switch SASL on. The file holds the password alone; it is read again at each start.
	SASLUser         string `yaml:"sasl_user"`
	SASLPasswordFile string `yaml:"sasl_password_file"`

	// Dir is where relative paths start: the directory of the configuration file.
	Dir string `yaml:"-"`
	// TLSConfig replaces all tls settings, for embedding programs.
	TLSConfig *tls.Config `yaml:"-"`
}

// DefaultConfig is a configuration that reads nothing until it is given brokers.
func DefaultConfig() Config {
	return Config{
		Topics: []string{"pitboss.events"}, DeadLetterTopic: "pitboss.events.dead", Group: "pitboss", Instance: "pitboss",
		Start: "earliest", OutOfRange: choiceRefuse, NewTopic: choiceRefuse, MaxBatch: 2000, AdvanceEvery: time.Second,
		SchemaRegistry: wire.DefaultRegistryConfig(),
		RetryEvery:     200 * time.Millisecond, Timeout: 5 * time.Second, SASLMechanism: "scram-sha-512",
	}
}

// The choices of a configuration.
const (
	choiceRefuse   = "refuse"
	choiceRestart  = "restart"
	choiceEarliest = "earliest"
	choiceLatest   = "latest"
)

// Validate checks what can be checked without a broker or a file.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return nil
	}
	switch {
	case len(c.Topics) == 0:
		return errors.New("topics: name at least one")
	case slices.Contains(c.Topics, ""):
		return errors.New("topics: a name must not be empty")
	case len(slices.Compact(slices.Sorted(slices.Values(c.Topics)))) != len(c.Topics):
		return errors.New("topics: each only once")
	case c.DeadLetterTopic == "":
		return errors.New("dead_letter_topic: needed, since what cannot be accepted must go somewhere")
	case slices.Contains(c.Topics, c.DeadLetterTopic):
		return fmt.Errorf("dead_letter_topic: %q is read too, its dead letters would come back for ever", c.DeadLetterTopic)
	case c.Group == "":
		return errors.New("group: must not be empty")
	case c.MaxBatch < 1 || c.MaxBatch > 100_000:
		return fmt.Errorf("max_batch: %d is not in 1 to 100000", c.MaxBatch)
	}
	return errors.Join(
		positive("advance_every", c.AdvanceEvery), positive("retry_every", c.RetryEvery), positive("timeout", c.Timeout),
		oneOf("start", c.Start, choiceEarliest, choiceLatest),
		oneOf("out_of_range", c.OutOfRange, choiceRefuse, choiceEarliest, choiceLatest),
		oneOf("new_topic", c.NewTopic, choiceRefuse, choiceRestart),
		wire.ValidateFormats(c.Formats, c.Topics, len(c.SchemaRegistry.URLs) > 0),
		underKey("schema_registry", c.SchemaRegistry.Validate()),
		c.validateSecurity())
}

func (c Config) validateSecurity() error {
	secure := c.TLS || c.TLSConfig != nil
	switch {
	case !c.TLS && (c.TLSCAFile != "" || c.TLSCertFile != "" || c.TLSKeyFile != ""):
		return errors.New("tls: must be true where tls_ca_file, tls_cert_file or tls_key_file is given")
	case (c.TLSCertFile == "") != (c.TLSKeyFile == ""):
		return errors.New("tls_cert_file and tls_key_file: give both or neither")
	case (c.SASLUser == "") != (c.SASLPasswordFile == ""):
		return errors.New("sasl_user and sasl_password_file: give both or neither")
	case c.SASLUser != "" && c.SASLMechanism == "plain" && !secure:
		return errors.New("sasl_mechanism: plain sends the password as it is: set tls, or use scram-sha-512")
	}
	return oneOf("sasl_mechanism", c.SASLMechanism, "scram-sha-512", "scram-sha-256", "plain")
}

// underKey puts the key of a section before its error.
func underKey(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s.%w", key, err)
}

func oneOf(field, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %v", field, value, allowed)
}

func positive(field string, d time.Duration) error {
	if d > 0 {
		return nil
	}
	return fmt.Errorf("%s: %v must be more than 0", field, d)
}
