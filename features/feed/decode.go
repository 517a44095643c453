package feed

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
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

// refusal is why a record becomes a dead letter: a stable reason, the path of the field, a text.
type refusal struct {
	reason, path, message string
}

// decode reads the event of a record: JSON where the header or the first byte says so, else Protobuf.
func decode(r *kgo.Record, msg *pb.Event) *refusal {
	switch {
	case len(r.Value) == 0:
		return &refusal{"EMPTY", "", "the record has no value"}
	case len(r.Value) > maxValue:
		return &refusal{"TOO_LARGE", "", fmt.Sprintf("the record has %d bytes, at most %d are read", len(r.Value), maxValue)}
	}
	if isJSON(r) {
		err := edge.DecodeJSON(r.Value, "event", maxDepth, msg)
		if bad, ok := errors.AsType[*edge.Error](err); ok {
			return &refusal{"UNDECODABLE", bad.Path, "not an event in JSON: " + clip(bad.Message)}
		}
		return nil
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(r.Value, msg); err != nil {
		return &refusal{"UNDECODABLE", "", "not an event in Protobuf: " + clip(err.Error())}
	}
	return nil
}

func isJSON(r *kgo.Record) bool {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Key, "content-type") {
			return bytes.Contains(h.Value, []byte("json"))
		}
	}
	return r.Value[0] == '{'
}

// ofTenant says whether the event may come over this topic at all.
func (f *Feed) ofTenant(msg *pb.Event) *refusal {
	if len(f.cfg.Tenants) > 0 && !slices.Contains(f.cfg.Tenants, msg.GetTenant()) {
		return &refusal{"WRONG_TENANT", "event.tenant", fmt.Sprintf("tenant %q may not send over this topic", clip(msg.GetTenant()))}
	}
	return nil
}

// refusalOf turns what the edge says into a dead letter's reason.
func refusalOf(err error) *refusal {
	if e, ok := errors.AsType[*edge.Error](err); ok {
		return &refusal{string(e.Reason), e.Path, e.Message}
	}
	return &refusal{"UNACCEPTABLE", "", clip(err.Error())}
}

// clip keeps a text that may quote hostile input short.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
