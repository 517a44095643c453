package wire

import (
	"bytes"
	"fmt"
	"mime"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// maxValue bounds one record, in bytes, and maxDepth its nesting: an event is far smaller and flatter. They are what calls
// are held to by default (server.LimitConfig).
const (
	maxValue = 1 << 20
	maxDepth = 16
)

// The reasons of this package, beside those of features/edge. They are in dead letters: never change one, only add.
const (
	// Undecodable is a value that is not an event in its format.
	Undecodable edge.Reason = "UNDECODABLE"
	// TooLarge is a value of more than 1 MiB.
	TooLarge edge.Reason = "TOO_LARGE"
	// Empty is a record without a value.
	Empty edge.Reason = "EMPTY"
	// UnknownSchema is a schema id that the registry does not have.
	UnknownSchema edge.Reason = "UNKNOWN_SCHEMA"
	// WrongSchema is a schema of something else than an event, or one that cannot be read.
	WrongSchema edge.Reason = "WRONG_SCHEMA"
	// EnvelopeConflict is a CloudEvents attribute that contradicts the event.
	EnvelopeConflict edge.Reason = "ENVELOPE_CONFLICT"
)

func refuse(reason edge.Reason, path, format string, args ...any) *edge.Error {
	return &edge.Error{Reason: reason, Path: path, Message: clip(fmt.Sprintf(format, args...))}
}

// clip keeps a text that may quote hostile input short.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Decoder reads events out of records. It is safe for concurrent use.
type Decoder struct {
	formats map[string]string
	// plain is the shipped Avro schema.
	plain    *avro.Schema
	registry *registry // nil without one
}

// New makes a decoder. It reads the registry's password and roots, and asks nobody. Errors name the setting.
func New(cfg Config) (*Decoder, error) {
	plain, err := avro.Parse(EventSchema())
	if err != nil {
		return nil, fmt.Errorf("BUG: our own Avro schema is none: %w", err)
	}
	d := &Decoder{formats: cfg.Formats, plain: plain}
	if len(cfg.Registry.URLs) > 0 {
		if d.registry, err = openRegistry(cfg); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// SchemaID gives the id of the schema that the record's value was written by, ok where it is in the Confluent wire format
// and there is a registry to ask.
func (d *Decoder) SchemaID(r *kgo.Record) (id int, ok bool) {
	if d.registry == nil || len(r.Value) == 0 || len(r.Value) > maxValue || r.Value[0] != 0 {
		return 0, false
	}
	switch d.formats[r.Topic] {
	case "", FormatAuto, FormatConfluent:
	default:
		return 0, false
	}
	id, _, err := new(sr.ConfluentHeader).DecodeID(r.Value)
	return id, err == nil && id > 0
}

// Decode reads the event of a record into msg. schema is what Schemas has for the record's SchemaID, nil where it has
// none. The error is for good: the record is a dead letter.
func (d *Decoder) Decode(r *kgo.Record, schema *Schema, msg *pb.Event) *edge.Error {
	switch {
	case len(r.Value) == 0:
		return refuse(Empty, "", "the record has no value")
	case len(r.Value) > maxValue:
		return refuse(TooLarge, "", "the record has %d bytes, at most %d are read", len(r.Value), maxValue)
	}
	if _, framed := d.SchemaID(r); framed {
		if err := schema.decode(r.Value, msg); err != nil {
			return err
		}
		return binaryEnvelope(r).into(msg)
	}
	media := mediaType(r)
	switch {
	case media == "application/cloudevents+json":
		return d.structured(r.Value, msg)
	case strings.HasPrefix(media, "application/cloudevents-batch"):
		return refuse(Undecodable, "", "a batch of CloudEvents: send each in a record of its own")
	}
	if err := d.value(d.formatOf(media, r.Topic, r.Value), r.Value, msg); err != nil {
		return err
	}
	return binaryEnvelope(r).into(msg)
}

// value reads a value in a known format.
func (d *Decoder) value(format string, value []byte, msg *pb.Event) *edge.Error {
	switch format {
	case FormatJSON:
		return decodeJSON(value, msg)
	case FormatAvro:
		return decodeAvro(d.plain, value, msg)
	case FormatConfluent:
		return refuse(Undecodable, "", "not in the Confluent wire format: a zero byte and the schema's id go before the event")
	}
	if value[0] == 0 {
		return refuse(Undecodable, "", "not an event in Protobuf; if this is the Confluent wire format, configure kafka.schema_registry")
	}
	return decodeProtobuf(value, msg)
}

// formatOf gives the format that the header names, else the topic's, else the one that the first byte tells.
func (d *Decoder) formatOf(media, topic string, value []byte) string {
	format := d.formats[topic]
	switch {
	case format == FormatConfluent:
		return format
	case strings.Contains(media, "json"):
		return FormatJSON
	case strings.Contains(media, "avro"):
		return FormatAvro
	case media != "" && (format == "" || format == FormatAuto):
		return FormatProtobuf
	case format != "" && format != FormatAuto:
		return format
	case value[0] == '{':
		return FormatJSON
	}
	return FormatProtobuf
}

// mediaType gives the content-type header without its parameters, in lower case; "" where there is none.
func mediaType(r *kgo.Record) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Key, "content-type") {
			return mediaOf(string(h.Value))
		}
	}
	return ""
}

func mediaOf(text string) string {
	media, _, err := mime.ParseMediaType(text)
	if err != nil {
		return strings.ToLower(text)
	}
	return media
}

func decodeProtobuf(value []byte, msg *pb.Event) *edge.Error {
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(value, msg); err != nil {
		return refuse(Undecodable, "", "not an event in Protobuf: %s", err)
	}
	return nil
}

// decodeJSON is strict, but for what a newer minor schema may have added: an event that says that it is one may have
// members which this build does not know. They are kept beside the event (unknown.go).
func decodeJSON(value []byte, msg *pb.Event) *edge.Error {
	err := edge.DecodeJSON(value, "event", maxDepth, msg)
	if err == nil {
		return nil
	}
	refused, ok := err.(*edge.Error) //nolint:errorlint // DecodeJSON returns nothing else, and wraps nothing
	if !ok {
		return refuse(Undecodable, "", "not an event in JSON")
	}
	if refused.Reason == edge.InvalidJSON && DecodeNewer(value, msg) {
		return nil // the edge refuses a newer major, by its own reason
	}
	proto.Reset(msg)
	return refuse(Undecodable, refused.Path, "not an event in JSON: %s", refused.Message)
}

// DecodeNewer reads an event's JSON that a strict decoder has refused, where it says that it is of a newer schema: what this build
// does not know of it is kept beside it. It is false, and msg is of no use, where it is not.
func DecodeNewer(value []byte, msg *pb.Event) bool {
	if !bytes.Contains(value, []byte("ersion")) || edge.CheckJSON(value, "event", maxDepth) != nil {
		return false
	}
	proto.Reset(msg)
	lenient := protojson.UnmarshalOptions{RecursionLimit: maxDepth, DiscardUnknown: true}
	if lenient.Unmarshal(value, msg) != nil || !Newer(msg) {
		return false
	}
	KeepUnknown(value, msg)
	return true
}

// Newer says whether an event is of a newer schema than this build's, so that it may have fields that this build does not know.
func Newer(msg *pb.Event) bool { return msg.GetSchemaVersion() > knownVersion }

// knownVersion is the schema version that this build writes: 100 * major + minor.
const knownVersion = 100 * edge.SchemaMajor
