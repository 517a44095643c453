package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr"
)

// maxReferences bounds the schemas that one refers to, those among them that others refer to included. All texts together are
// held to maxSchemaText.
const maxReferences = 64

// references finds the texts of what a schema refers to.
type references struct {
	ask func(ctx context.Context, subject string, version int) (sr.SubjectSchema, error)
	// texts are in the order in which they must be read: each after those that it refers to.
	texts []string
	bytes int
	// known says of a subject's version that it is read, or false that it is being read.
	known map[string]bool
}

// add finds all that refs name. problem says why nothing can be read by the schema; err that the registry cannot say now.
func (r *references) add(ctx context.Context, refs []sr.SchemaReference) (problem string, err error) {
	for _, ref := range refs {
		key := fmt.Sprintf("version %d of subject %q", ref.Version, ref.Subject)
		read, met := r.known[key]
		switch {
		case read:
			continue
		case met:
			return "refers to itself, by way of " + key, nil
		case len(r.known) >= maxReferences:
			return fmt.Sprintf("refers to more than %d schemas", maxReferences), nil
		}
		r.known[key] = false
		found, err := r.ask(ctx, ref.Subject, ref.Version)
		if e, ok := errors.AsType[*sr.ResponseError](err); ok {
			if e.StatusCode == http.StatusNotFound && (e.ErrorCode == sr.ErrSubjectNotFound.Code || e.ErrorCode == sr.ErrVersionNotFound.Code) {
				return "refers to " + key + ", which the registry has not", nil
			}
			return "", fmt.Errorf("it answers %d, code %d", e.StatusCode, e.ErrorCode)
		}
		if err != nil {
			return "", fmt.Errorf("no answer: %w", err)
		}
		if found.Type != sr.TypeAvro {
			return "refers to " + key + ", which is not Avro", nil
		}
		if problem, err := r.add(ctx, found.References); problem != "" || err != nil {
			return problem, err
		}
		if r.bytes += len(found.Schema.Schema); r.bytes > maxSchemaText {
			return fmt.Sprintf("more than %d bytes with what it refers to", maxSchemaText), nil
		}
		r.texts, r.known[key] = append(r.texts, found.Schema.Schema), true
	}
	return "", nil
}

// referencesOf asks for what an Avro schema refers to. Others need none: an event's message is in its own file.
func (g *registry) referencesOf(ctx context.Context, s sr.Schema) (texts []string, problem string, err error) {
	if s.Type != sr.TypeAvro || len(s.References) == 0 {
		return nil, "", nil
	}
	r := &references{bytes: len(s.Schema), known: map[string]bool{}, ask: func(ctx context.Context, subject string, version int) (sr.SubjectSchema, error) {
		g.mu.Lock()
		g.lookups++
		g.mu.Unlock()
		return g.client.SchemaByVersion(ctx, subject, version)
	}}
	problem, err = r.add(ctx, s.References)
	return r.texts, problem, err
}
