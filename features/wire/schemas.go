package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

const (
	// maxSchemaText bounds one schema; that of our own event has 20 KB.
	maxSchemaText = 256 << 10
	// maxAnswer bounds what the registry may answer: a schema's text, quoted.
	maxAnswer = 1 << 20
	// unknownFor is how long an id that the registry does not have is not asked for again.
	unknownFor = 10 * time.Second
)

// eventName is the full name of the one type that records may hold.
const eventName = "pitboss.v1.Event"

// Schema is what the registry has under one id. The zero value and nil are of an id that nobody looked up.
type Schema struct {
	id   int
	kind sr.SchemaType
	// avro is the writer's schema, and only there for Avro.
	avro *avro.Schema
	// messages are the names of a .proto file's messages, by their place, and only there for Protobuf.
	messages []string
	// refused says why no record of this schema can be read; nil where they can.
	refused *edge.Error
	// until is when an unknown id is asked for again; zero where the schema is known, and so never changes.
	until time.Time
	// used is when a batch last asked for it: the registry's counter of batches.
	used uint64
}

// registry looks schemas up and keeps them.
type registry struct {
	client    *sr.Client
	transport *http.Transport
	most      int

	mu      sync.Mutex // guards all below; not held while the registry is asked
	batches uint64
	known   map[int]*Schema
	lookups uint64
}

func openRegistry(cfg Config) (*registry, error) {
	roots, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: roots, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}
	opts := []sr.ClientOpt{
		sr.URLs(cfg.Registry.URLs...), sr.UserAgent("pitboss"),
		sr.HTTPClient(&http.Client{Transport: bounded{transport}, Timeout: cfg.Registry.Timeout}),
	}
	switch {
	case cfg.Registry.User != "":
		var password string
		if password, err = cfg.secret("password_file", cfg.Registry.PasswordFile); err != nil {
			return nil, err
		}
		opts = append(opts, sr.BasicAuth(cfg.Registry.User, password))
	case cfg.Registry.TokenFile != "":
		var token string
		if token, err = cfg.secret("token_file", cfg.Registry.TokenFile); err != nil {
			return nil, err
		}
		opts = append(opts, sr.BearerToken(token))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("schema_registry: %w", err)
	}
	return &registry{client: client, transport: transport, most: cfg.Registry.MaxSchemas, known: map[int]*Schema{}}, nil
}

// bounded cuts answers that are larger than any schema: the client reads all there is.
type bounded struct{ *http.Transport }

// RoundTrip makes one request.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err //nolint:wrapcheck // a transport in front of another says what that says
}

// Close lets the registry's connections go.
func (d *Decoder) Close() {
	if d.registry != nil {
		d.registry.transport.CloseIdleConnections()
	}
}

// Lookups counts the questions to the registry since the start.
func (d *Decoder) Lookups() uint64 {
	if d.registry == nil {
		return 0
	}
	d.registry.mu.Lock()
	defer d.registry.mu.Unlock()
	return d.registry.lookups
}

// Schemas gives the schemas of ids. An error says that the registry cannot be asked now: nothing is known of the records,
// and they must wait. An id that it does not have is a Schema that refuses.
func (d *Decoder) Schemas(ctx context.Context, ids []int) (map[int]*Schema, error) {
	g := d.registry
	schemas := make(map[int]*Schema, len(ids))
	if g == nil || len(ids) == 0 {
		return schemas, nil
	}
	g.mu.Lock()
	g.batches++
	batch := g.batches
	g.mu.Unlock()
	for _, id := range ids {
		s, err := g.schema(ctx, id, batch)
		if err != nil {
			return nil, err
		}
		schemas[id] = s
	}
	return schemas, nil
}

// Known gives those of the schemas of ids that are kept, and says whether these are all. It asks nobody.
func (d *Decoder) Known(ids []int) (schemas map[int]*Schema, all bool) {
	g := d.registry
	schemas = make(map[int]*Schema, len(ids))
	if g == nil || len(ids) == 0 {
		return schemas, true
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batches++
	for _, id := range ids {
		if s, ok := g.known[id]; ok && (s.until.IsZero() || now.Before(s.until)) {
			s.used = g.batches
			schemas[id] = s
		}
	}
	return schemas, len(schemas) == len(ids)
}

func (g *registry) schema(ctx context.Context, id int, batch uint64) (*Schema, error) {
	g.mu.Lock()
	s, ok := g.known[id]
	if ok && (s.until.IsZero() || time.Now().Before(s.until)) {
		s.used = batch
		g.mu.Unlock()
		return s, nil
	}
	g.lookups++
	g.mu.Unlock()
	s, err := g.lookUp(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the schema registry for schema %d: %w", id, err)
	}
	s.used = batch
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, again := g.known[id]; !again && len(g.known) >= g.most {
		g.evict()
	}
	g.known[id] = s
	return s, nil
}

// evict drops the schema that was not used for longest; the caller holds mu. Only a full cache pays for the search, once
// for each look-up.
func (g *registry) evict() {
	oldest := -1
	for id, s := range g.known {
		if oldest < 0 || s.used < g.known[oldest].used || s.used == g.known[oldest].used && id < oldest {
			oldest = id
		}
	}
	delete(g.known, oldest)
}

// lookUp asks the registry. Only that it does not have the id is an answer; a refused password is a reason to wait, since
// it says nothing about the record.
func (g *registry) lookUp(ctx context.Context, id int) (*Schema, error) {
	found, err := g.client.SchemaByID(ctx, id)
	if e, ok := errors.AsType[*sr.ResponseError](err); ok {
		if e.StatusCode == http.StatusNotFound && e.ErrorCode == sr.ErrSchemaNotFound.Code {
			return &Schema{
				id: id, until: time.Now().Add(unknownFor),
				refused: refuse(UnknownSchema, "", "the registry has no schema of id %d", id),
			}, nil
		}
		return nil, fmt.Errorf("it answers %d, code %d", e.StatusCode, e.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	parts, problem, err := g.referencesOf(ctx, found)
	if err != nil {
		return nil, err
	}
	return newSchema(id, found, parts, problem), nil
}

// newSchema reads what the registry has: its text was written by others, and so were those of parts, to which it refers.
// problem is what is wrong with those.
func newSchema(id int, found sr.Schema, parts []string, problem string) *Schema {
	s := &Schema{id: id, kind: found.Type}
	wrong := func(format string, args ...any) *Schema {
		s.refused = refuse(WrongSchema, "", "schema %d: %s", id, fmt.Sprintf(format, args...))
		return s
	}
	if problem != "" {
		s.until = time.Now().Add(unknownFor) // what is not there may come to be
		return wrong("%s", problem)
	}
	if len(found.Schema) > maxSchemaText {
		return wrong("%d bytes, at most %d are read", len(found.Schema), maxSchemaText)
	}
	switch found.Type {
	case sr.TypeAvro:
		if s.avro, problem = writerSchema(found.Schema, parts); problem != "" {
			return wrong("%s", problem)
		}
	case sr.TypeProtobuf:
		if s.messages, problem = messagesOf(found.Schema); problem != "" {
			return wrong("%s", problem)
		}
	case sr.TypeJSON: // the event's own decoder is stricter than a JSON schema can be
	default:
		return wrong("neither Avro nor Protobuf nor JSON")
	}
	return s
}

// messagesOf gives the full names of the messages at the top of a .proto file.
func messagesOf(text string) (names []string, problem string) {
	handler := reporter.NewHandler(nil)
	file, err := parser.Parse("schema.proto", strings.NewReader(text), handler)
	if err != nil {
		return nil, "not a .proto file"
	}
	result, err := parser.ResultFromAST(file, false, handler)
	if err != nil {
		return nil, "not a .proto file"
	}
	descriptor := result.FileDescriptorProto()
	for _, m := range descriptor.GetMessageType() {
		names = append(names, strings.TrimPrefix(descriptor.GetPackage()+"."+m.GetName(), "."))
	}
	if !slices.Contains(names, eventName) {
		return nil, "has no message " + eventName
	}
	return names, ""
}

// decode reads a value in the Confluent wire format.
func (s *Schema) decode(value []byte, msg *pb.Event) *edge.Error {
	if s == nil || s.id == 0 {
		return refuse(UnknownSchema, "", "BUG: nobody looked the record's schema up")
	}
	if s.refused != nil {
		return s.refused
	}
	header := new(sr.ConfluentHeader)
	_, body, err := header.DecodeID(value)
	if err != nil {
		return refuse(Undecodable, "", "not in the Confluent wire format: %s", err)
	}
	switch s.kind {
	case sr.TypeJSON:
		return decodeJSON(body, msg)
	case sr.TypeAvro:
		return decodeAvro(s.avro, body, msg)
	case sr.TypeProtobuf:
	}
	const deepest = 4 // an index of that depth is of a message within messages, and no event
	index, body, err := header.DecodeIndex(body, deepest)
	if err != nil || len(index) == 0 {
		return refuse(Undecodable, "", "no message index before the Protobuf message")
	}
	if len(index) != 1 || index[0] < 0 || index[0] >= len(s.messages) || s.messages[index[0]] != eventName {
		return refuse(WrongSchema, "", "schema %d: the record's message %v is not %s", s.id, index, eventName)
	}
	return decodeProtobuf(body, msg)
}
